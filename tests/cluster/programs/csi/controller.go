package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// controller makes, copies, grows and removes volumes and snapshots.
type controller struct {
	csi.UnimplementedControllerServer
	store *store
}

func (c *controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	response := &csi.ControllerGetCapabilitiesResponse{}
	for _, capability := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
	} {
		rpc := &csi.ControllerServiceCapability_RPC{Type: capability}
		response.Capabilities = append(response.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc},
		})
	}
	return response, nil
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if _, err := c.volume(request.VolumeId); err != nil {
		return nil, err
	}
	confirmed := &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: request.VolumeCapabilities}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: confirmed}, nil
}

func (c *controller) CreateVolume(_ context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if err := plain(request.Name); err != nil {
		return nil, err
	}
	c.store.mutex.Lock()
	defer c.store.mutex.Unlock()
	volume, err := c.store.get(ofVolumes, request.Name)
	if err != nil {
		return nil, err
	}
	if volume == nil {
		volume = &record{ID: request.Name, Capacity: request.GetCapacityRange().GetRequiredBytes(), Created: time.Now()}
		from := ""
		if source := request.VolumeContentSource; source != nil {
			volume.Source = source.GetSnapshot().GetSnapshotId()
			snapshot, err := c.store.get(ofSnapshots, volume.Source)
			if err != nil {
				return nil, err
			}
			if snapshot == nil {
				return nil, status.Errorf(codes.NotFound, "there is no snapshot %q", volume.Source)
			}
			if volume.Capacity < snapshot.Capacity {
				return nil, status.Errorf(codes.OutOfRange, "a volume of snapshot %q has at least %d bytes", snapshot.ID, snapshot.Capacity)
			}
			from = c.store.data(ofSnapshots, snapshot.ID)
		}
		if err := c.store.fill(ofVolumes, volume, from); err != nil {
			return nil, err
		}
	} else if volume.Capacity < request.GetCapacityRange().GetRequiredBytes() {
		return nil, status.Errorf(codes.AlreadyExists, "volume %q has another capacity", volume.ID)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: volume.ID, CapacityBytes: volume.Capacity, ContentSource: request.VolumeContentSource,
	}}, nil
}

func (c *controller) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if err := plain(request.VolumeId); err != nil {
		return nil, err
	}
	c.store.mutex.Lock()
	defer c.store.mutex.Unlock()
	return &csi.DeleteVolumeResponse{}, c.store.remove(ofVolumes, request.VolumeId)
}

func (c *controller) ControllerExpandVolume(_ context.Context, request *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	c.store.mutex.Lock()
	defer c.store.mutex.Unlock()
	volume, err := c.volume(request.VolumeId)
	if err != nil {
		return nil, err
	}
	if wanted := request.GetCapacityRange().GetRequiredBytes(); wanted > volume.Capacity {
		volume.Capacity = wanted
		if err := c.store.put(ofVolumes, volume); err != nil {
			return nil, err
		}
	}
	// As with a disk, the file system is left to the node.
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: volume.Capacity, NodeExpansionRequired: true}, nil
}

func (c *controller) CreateSnapshot(_ context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if err := plain(request.Name); err != nil {
		return nil, err
	}
	c.store.mutex.Lock()
	defer c.store.mutex.Unlock()
	snapshot, err := c.store.get(ofSnapshots, request.Name)
	if err != nil {
		return nil, err
	}
	if snapshot == nil {
		volume, err := c.volume(request.SourceVolumeId)
		if err != nil {
			return nil, err
		}
		snapshot = &record{ID: request.Name, Capacity: volume.Capacity, Source: volume.ID, Created: time.Now()}
		if err := c.store.fill(ofSnapshots, snapshot, c.store.data(ofVolumes, volume.ID)); err != nil {
			return nil, err
		}
	} else if snapshot.Source != request.SourceVolumeId {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %q is of another volume", snapshot.ID)
	}
	return &csi.CreateSnapshotResponse{Snapshot: described(snapshot)}, nil
}

func (c *controller) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if err := plain(request.SnapshotId); err != nil {
		return nil, err
	}
	c.store.mutex.Lock()
	defer c.store.mutex.Unlock()
	return &csi.DeleteSnapshotResponse{}, c.store.remove(ofSnapshots, request.SnapshotId)
}

func (c *controller) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	c.store.mutex.Lock()
	defer c.store.mutex.Unlock()
	snapshots, err := c.store.all(ofSnapshots)
	if err != nil {
		return nil, err
	}
	response := &csi.ListSnapshotsResponse{}
	for _, snapshot := range snapshots {
		wanted := request.SnapshotId == "" || request.SnapshotId == snapshot.ID
		if wanted && (request.SourceVolumeId == "" || request.SourceVolumeId == snapshot.Source) {
			response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: described(snapshot)})
		}
	}
	return response, nil
}

// volume gives the volume of an id, which must exist.
func (c *controller) volume(id string) (*record, error) {
	if err := plain(id); err != nil {
		return nil, err
	}
	volume, err := c.store.get(ofVolumes, id)
	if err == nil && volume == nil {
		err = status.Errorf(codes.NotFound, "there is no volume %q", id)
	}
	return volume, err
}

func described(snapshot *record) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: snapshot.ID, SourceVolumeId: snapshot.Source, SizeBytes: snapshot.Capacity,
		CreationTime: timestamppb.New(snapshot.Created), ReadyToUse: true,
	}
}

// plain refuses what is no name of a file in a folder.
func plain(id string) error {
	if id == "" || id == "." || id == ".." || filepath.Base(id) != id {
		return status.Errorf(codes.InvalidArgument, "%q is no name", id)
	}
	return nil
}
