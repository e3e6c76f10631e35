// Command csi is a storage driver for tests: volumes are folders of the node, snapshots are copies of them, and a volume's capacity is a number
// that is remembered and reported. It lets the real sidecars and the real kubelet do all that they do with a real driver.
//
// Nothing limits how much is written into a volume, and a snapshot of a volume in use is a copy made file by file: no test may rely on either.
//
// The other programs of this module are the upstream sidecars, which go.mod names as tools.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Name is what StorageClasses and VolumeSnapshotClasses call the driver.
const Name = "hostpath.csi.doltdb-operator.dev"

func main() {
	node := flag.String("node", "", "name of the node")
	state := flag.String("state", "", "folder of the volumes and snapshots")
	endpoint := flag.String("endpoint", "", "socket that the driver answers on")
	registry := flag.String("registration", "", "socket by which the kubelet learns of the driver")
	flag.Parse()

	store, err := open(*state)
	if err != nil {
		log.Fatal(err)
	}
	driver := grpc.NewServer(grpc.UnaryInterceptor(logged))
	csi.RegisterIdentityServer(driver, identity{})
	csi.RegisterControllerServer(driver, &controller{store: store})
	csi.RegisterNodeServer(driver, &volumes{store: store, node: *node})
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, &registered{endpoint: *endpoint})

	failed := make(chan error)
	go func() { failed <- serve(driver, *endpoint) }()
	go func() { failed <- serve(registrar, *registry) }()
	log.Fatal(<-failed)
}

// serve answers on a socket, which an earlier run may have left behind.
func serve(server *grpc.Server, socket string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

func logged(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, request)
	if err != nil {
		log.Printf("%s: %v", info.FullMethod, err)
	} else {
		log.Print(info.FullMethod)
	}
	return response, err
}

type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: Name, VendorVersion: "0"}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{
			Service: &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE},
		}},
		{Type: &csi.PluginCapability_VolumeExpansion_{
			VolumeExpansion: &csi.PluginCapability_VolumeExpansion{Type: csi.PluginCapability_VolumeExpansion_ONLINE},
		}},
	}}, nil
}

// registered tells the kubelet of the driver.
type registered struct {
	registration.UnimplementedRegistrationServer
	endpoint string
}

func (r *registered) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{Type: registration.CSIPlugin, Name: Name, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"}}, nil
}

func (r *registered) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Printf("the kubelet refuses the driver: %s", status.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}
