# Client 3 works, and publishes.
bench="$PYTHONPATH/benchmarks/nfs"
for d in /mnt/v42 /mnt/v3; do "$PY" "$bench/protocol.py" worker "$d/run-${d#/mnt/}"; done
for d in /mnt/v42 /mnt/v3; do seen=$d/seen-${d#/mnt/}; mkdir -p "$seen"; "$PY" "$bench/seen.py" publish "$seen"; done
