#!/bin/sh
# Runs a dockerd in new mount and process namespaces: docker-inside.sh <folder> <dockerd> <flags>…
# What it would write outside of its folder goes to file systems that only it sees and that end with it.
set -eu
folder=$1
shift
mount -n -t tmpfs tmpfs /run
mount -n -t tmpfs tmpfs /opt
mkdir "$folder"
mount -n -t tmpfs -o mode=700 tmpfs "$folder"
mkdir "$folder/etc" "$folder/etc-work"
mount -n -t overlay overlay -o "lowerdir=/etc,upperdir=$folder/etc,workdir=$folder/etc-work" /etc
exec "$@"
