#!/bin/bash
# A real NFS server and two real NFS clients on one machine, as three user-mode Linux kernels.
# Usage: lab.sh PYTHON SOURCE WORK SCRIPT2 SCRIPT3
#   PYTHON   an interpreter that has what SOURCE needs        SOURCE   put on PYTHONPATH
#   WORK     an empty directory on a disk with 2 GB free      SCRIPT2, SCRIPT3   bash, run on client 2 and on client 3
# From the root of the repository, some minutes (importing torch would take more: the kernels are slow):
#   benchmarks/nfs/lab.sh "$(command -v python)" "$PWD" "$(mktemp -d)" benchmarks/nfs/client2.sh benchmarks/nfs/client3.sh
# The scripts see $PY, /mnt/v42 and /mnt/v3 (the same export by NFSv4.2 and NFSv3, default options) and may mount more
# from 10.0.0.1. The root file system is this machine's, read-only. Output: WORK/{server,client2,client3}.log.
# Needs (Debian): apt-get install user-mode-linux vde2 nfs-kernel-server kmod
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PY=$1 SOURCE=$(readlink -f "$2") WORK=$3; shift 3
mkdir -p "$WORK"/{uml,mods/lib/modules,shm}
for v in /usr/lib/uml/modules/*; do ln -sfn "$v" "$WORK/mods/lib/modules/$(basename "$v")"; done
truncate -s 1536M "$WORK/disk" && mkfs.ext4 -q -F "$WORK/disk"
cat >"$WORK/common.sh" <<C
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run PY="$PY" PYTHONPATH="$SOURCE" HERE="$here"
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 TMPDIR=/run/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /run; mkdir -p /run/rpc_pipefs /run/tmp
mount -t tmpfs tmp /var/lib/nfs; mkdir -p /var/lib/nfs/{rpc_pipefs,v4recovery,sm,sm.bak,nfsdcltrack,nfsdcld}
touch /var/lib/nfs/{etab,rmtab,state}; mount -t tmpfs tmp /var/tmp; mount -t tmpfs tmp /mnt; mount -t tmpfs tmp /srv
ip link set lo up; ip link set eth0 up; M="modprobe -d $WORK/mods"
C
cat >"$WORK/server.sh" <<S
#!/bin/bash
. "$WORK/common.sh"; hostname server; ip addr add 10.0.0.1/24 dev eth0
for m in sunrpc lockd nfsd ext4; do \$M \$m; done
mkdir -p /srv/x; mount -t ext4 /dev/ubda /srv/x; mkdir -p /srv/x/e
mount -t rpc_pipefs rpc /var/lib/nfs/rpc_pipefs; mount -t nfsd nfsd /proc/fs/nfsd
echo 10 >/proc/fs/nfsd/nfsv4leasetime; echo 10 >/proc/fs/nfsd/nfsv4gracetime; rpcbind -w
exportfs -o fsid=0,rw,no_root_squash,insecure,no_subtree_check,sync '*:/srv/x/e'
rpc.mountd; rpc.nfsd 4; echo SERVER READY
while true; do sleep 5; done
S
for n in 2 3; do
script=$(readlink -f "$1"); shift
cat >"$WORK/client$n.sh" <<C
#!/bin/bash
. "$WORK/common.sh"; hostname client$n; ip addr add 10.0.0.$n/24 dev eth0
for m in sunrpc lockd nfs nfsv3 nfsv4; do \$M \$m; done
mount -t rpc_pipefs rpc /var/lib/nfs/rpc_pipefs; mkdir -p /mnt/v42 /mnt/v3
until mount -i -t nfs4 -o vers=4.2,addr=10.0.0.1,clientaddr=10.0.0.$n 10.0.0.1:/ /mnt/v42; do sleep 2; done
mount -t nfs -o vers=3,nolock,tcp 10.0.0.1:/srv/x/e /mnt/v3; echo CLIENT $n READY
. "$script"
echo DONE; sync; exec /usr/bin/busybox poweroff -f
C
done
chmod +x "$WORK"/*.sh
vde_switch -d -s "$WORK/vde" -p "$WORK/vde.pid" -M "$WORK/vde.mgmt"
start() { # name memory number extra
  TMPDIR="$WORK/shm" timeout "${LAB_S:-1500}" linux.uml umid="$1" uml_dir="$WORK/uml" mem="$2" rootfstype=hostfs rootflags=/ ro \
    init="$WORK/$1.sh" eth0=vde,"$WORK/vde",02:00:00:00:00:0"$3" con=null con0=null,fd:1 con1=null ${4:-} >"$WORK/$1.log" 2>&1 </dev/null &
}
sleep 1; start server 400M 1 ubda="$WORK/disk"; server=$!
start client2 700M 2; two=$!; start client3 700M 3; three=$!
wait $two $three || true
kill $server "$(cat "$WORK/vde.pid")" 2>/dev/null || true
tail -n 40 "$WORK/client2.log" "$WORK/client3.log"
