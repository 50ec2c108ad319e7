#!/bin/sh
# Runs once, as root without a network, before everything else of the compose file: makes the keys and the servers' configuration,
# and gives each service a folder with what is its own, and nothing more. Run again, it keeps the keys that are there.
set -eu
user=10001:10001

node /opt/cabinet/dist/main.js nats-config --no-tls --out /keys --hosts nats-1,nats-2,nats-3 --store-dir /data

give() { # <folder> <file>…
  folder=$1
  shift
  for file in "$@"; do cp "$file" "$folder/"; done
  chown -R "$user" "$folder"
  chmod -R u=rwX,go= "$folder"
}

for number in 1 2 3; do
  give "/server-$number" "/keys/nats-$number.conf"
  give "/data-$number"
done
give /node /keys/keys/node.nk
# For services of your own that submit tasks: mount the volume `client-key`.
give /client /keys/keys/client.nk
give /operator /keys/keys/console.nk
give /console /keys/keys/console.nk /tls/key.pem /tls/cert.pem
give /console-data
