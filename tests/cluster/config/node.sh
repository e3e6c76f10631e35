#!/bin/bash
# Process 1 of a development cluster. It starts in fresh network, mount, pid and uts namespaces, makes the places
# that programs hard-code the cluster's own, and keeps the node's programs running. It never ends by itself:
# whoever ends it ends the cluster.
set -u
state="{{STATE}}"
bin="{{BIN}}"
export PATH="$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
hostname "{{NAME}}"

# Where processors are shared out: the node's programs have their part, pods have theirs.
for procs in /sys/fs/cgroup{/cpu,}{{CGROUP}}/system/cgroup.procs; do
  [ -e "$procs" ] && echo $$ > "$procs"
done

# Containers must see mounts that the kubelet makes later, so propagation is shared, but only inside.
mount --make-rprivate /
mount --make-rshared /

# /run holds sockets, containers' network namespaces and the iptables lock.
resolv=$(realpath -m /etc/resolv.conf)
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
own() { # own FOLDER PLACE: the cluster's folder in the place of the machine's
  mkdir -p "$state/$1" "$2"
  mount --bind "$state/$1" "$2"
}
own kubelet /var/lib/kubelet
own containerd /var/lib/containerd
own cni-results /var/lib/cni
own log/pods /var/log/pods
own log/containers /var/log/containers
own volumes /tmp/hostpath_pv
[ -e "$resolv" ] || { mkdir -p "$(dirname "$resolv")"; touch "$resolv"; }
mount --bind "$state/resolv.conf" "$resolv"

# A bridge carries the node's address: not every kernel has dummy devices. The API server needs a default route to find it.
ip link set lo up
ip link add node0 type bridge
ip addr add {{NODE_IP}}/24 dev node0
ip link set node0 up
ip route add default dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward

cd "$state" || exit 1
keep() { # keep NAME COMMAND...: run it, again whenever it ends
  local name=$1
  shift
  while :; do
    echo "== start of $name, $(date --iso-8601=seconds)"
    "$@"
    echo "== end of $name, status $?"
    sleep 0.5
  done >> "log/$name.log" 2>&1 < /dev/null &
}
await_port() { until (exec 3<> "/dev/tcp/{{NODE_IP}}/$1") 2> /dev/null; do sleep 0.2; done; }

keep etcd etcd --data-dir etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync
keep containerd containerd -c containerd.toml
keep apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --advertise-address {{NODE_IP}} --secure-port 6443 \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt \
  --service-account-key-file pki/sa.pub --service-account-signing-key-file pki/sa.key --service-account-issuer https://kubernetes.default.svc \
  --service-cluster-ip-range {{SERVICES}} --authorization-mode Node,RBAC --allow-privileged --kubelet-preferred-address-types InternalIP \
  --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key --kubelet-certificate-authority pki/ca.crt
await_port 6443
keep kubelet kubelet --kubeconfig kubelet.kubeconfig --config kubelet.yaml --hostname-override {{NAME}} --node-ip {{NODE_IP}}
# The folders of volumes must let containers write that don't run as root.
umask 0
keep controller-manager kube-controller-manager --kubeconfig admin.kubeconfig --root-ca-file pki/ca.crt \
  --service-account-private-key-file pki/sa.key --use-service-account-credentials --leader-elect=false --enable-hostpath-provisioner \
  --bind-address 127.0.0.1 --kube-api-qps 200 --kube-api-burst 400
umask 022
keep scheduler kube-scheduler --kubeconfig admin.kubeconfig --leader-elect=false --bind-address 127.0.0.1 --kube-api-qps 200 --kube-api-burst 400
keep proxy kube-proxy --kubeconfig admin.kubeconfig --proxy-mode iptables --hostname-override {{NAME}} --cluster-cidr {{PODS}} \
  --iptables-min-sync-period 100ms --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
# Storage with snapshots and volumes that grow. It starts when the rest is up, so nobody waits for it who does not use it.
(
  until [ -e up ]; do sleep 0.5; done
  driver=hostpath.csi.doltdb-operator.dev
  socket=/var/lib/kubelet/plugins/$driver/csi.sock
  export GOMAXPROCS=1
  keep csi-driver csi-driver --node {{NAME}} --state "$state/csi" --endpoint "$socket" \
    --registration "/var/lib/kubelet/plugins_registry/$driver-reg.sock"
  until kubectl --kubeconfig admin.kubeconfig apply -f "$bin/csi-definitions.yaml" &&
    kubectl --kubeconfig admin.kubeconfig apply -f csi.yaml; do sleep 1; done > log/csi.log 2>&1
  for sidecar in csi-provisioner csi-snapshotter; do
    keep "$sidecar" "$sidecar" --kubeconfig admin.kubeconfig --csi-address "$socket"
  done
  keep csi-resizer csi-resizer --kubeconfig admin.kubeconfig --csi-address "$socket" --handle-volume-inuse-error=false
  keep snapshot-controller snapshot-controller --kubeconfig admin.kubeconfig
) &
# The shell collects whatever is orphaned in this pid namespace while it waits.
wait
