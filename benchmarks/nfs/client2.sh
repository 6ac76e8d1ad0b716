# Client 2 looks, and coordinates; first the same on a disk of its own (memory), for comparison.
bench="$PYTHONPATH/benchmarks/nfs"
"$PY" "$bench/protocol.py" worker /run/local &
"$PY" "$bench/protocol.py" coordinator /run/local; wait $!; "$PY" "$bench/protocol.py" borders /run/local
for d in /mnt/v42 /mnt/v3; do
  run=$d/run-${d#/mnt/}
  "$PY" "$bench/protocol.py" coordinator "$run"; "$PY" "$bench/protocol.py" borders "$run"
done
for d in /mnt/v42 /mnt/v3; do seen=$d/seen-${d#/mnt/}; mkdir -p "$seen"; "$PY" "$bench/seen.py" look "$seen" 10.0.0.3; done
