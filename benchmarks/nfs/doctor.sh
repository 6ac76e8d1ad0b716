# `pbtnas doctor --with 2` on both clients at once: by NFSv4.2 and v3, and with lookupcache=positive.
mine=$(ip -4 -o addr show eth0 | sed 's/.*inet \([0-9.]*\).*/\1/')
mkdir -p /mnt/positive
mount -i -t nfs4 -o vers=4.2,addr=10.0.0.1,clientaddr="$mine",lookupcache=positive,nosharecache 10.0.0.1:/ /mnt/positive
for mount in v42 v3 positive; do
  mkdir -p "/mnt/$mount/runs-$mount"
  $PY -P -m pbtnas doctor "/mnt/$mount/runs-$mount" --with 2
done
