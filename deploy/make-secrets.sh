#!/bin/sh
# Makes the database's password once, readable by its owner and by the server's user in the container (10001).
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
if [ -e secrets/database_password ]; then
    echo "secrets/ is there already: nothing done" >&2
    exit 0
fi
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$password" >secrets/database_password
printf 'postgresql://mensajeria:%s@database/mensajeria' "$password" >secrets/database_url
# Compose mounts these files as they are: their mode in the container is their mode here. The folder keeps others out.
chmod 0644 secrets/database_password secrets/database_url
