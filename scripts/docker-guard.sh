#!/bin/sh
# Waits until its input ends, then ends an engine and removes what outlives it: docker-guard.sh <folder> <address pool>
# The first line of the input is the process id of the engine's `unshare`, once there is one.
folder=$1
pool=$2
parent=$(basename "$folder")
engine=
while read -r pid; do engine=$pid; done

# A frozen process cannot be killed on the first version of cgroups.
for state in /sys/fs/cgroup/freezer/"$parent"/*/freezer.state; do
  [ -e "$state" ] && echo THAWED >"$state"
done

# The engine is process 1 of its namespace: all of its processes and mounts end with it. Its `unshare` then ends by itself.
if [ -n "$engine" ]; then
  children=$(cat "/proc/$engine/task/$engine/children" 2>/dev/null)
  for pid in $children; do kill -9 "$pid" 2>/dev/null; done
  for _ in $(seq 100); do
    [ -e "/proc/$engine" ] || break
    grep -q '^State:.*zombie' "/proc/$engine/status" 2>/dev/null && break
    sleep 0.1
  done
fi

# Bridges are the machine's; ours are known by their addresses.
if command -v ip >/dev/null; then
  for bridge in $(ip -o -4 address show to "$pool" | while read -r _ name _; do echo "$name"; done); do
    ip link delete "$bridge"
  done
fi

left=0
for _ in $(seq 50); do
  find /sys/fs/cgroup -depth -type d -path "*/$parent*" -exec rmdir {} + 2>/dev/null
  left=$(find /sys/fs/cgroup -type d -name "$parent" 2>/dev/null | wc -l)
  [ "$left" -eq 0 ] && break
  sleep 0.1
done
rm -rf "$folder"

status=0
if [ "$left" -ne 0 ]; then echo "control groups named $parent" >&2; status=1; fi
if [ -n "$engine" ] && [ -e "/proc/$engine" ] && ! grep -q '^State:.*zombie' "/proc/$engine/status" 2>/dev/null; then
  echo "process $engine" >&2
  status=1
fi
exit $status
