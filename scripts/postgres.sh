# shellcheck shell=bash
# The PostgreSQL server that ./test runs beside the tests: made anew for each run, on loopback and
# a free port, its data in a temporary folder. Sourced after scripts/tools.sh.

# Many tests at a time, each with several connections.
POSTGRES_MAX_CONNECTIONS=400
POSTGRES_PATIENCE_SECONDS=60

postgres_pid=""
postgres_folder=""

# The folder of the server programs: the newest that Debian installed, or that of the PATH.
postgres_programs() {
    local folder
    folder="$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1 || true)"
    if [[ -n $folder ]]; then
        echo "$folder"
    elif has initdb && has postgres; then
        dirname "$(command -v initdb)"
    fi
}

# PostgreSQL refuses to run as root; Debian's package makes a user for it.
as_postgres() {
    if ((EUID == 0)); then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# Starts the server, and exports DAYBOOK_TEST_POSTGRES_URL. Whatever ends the script stops it.
start_postgres() {
    local programs password port
    programs="$(postgres_programs)"
    postgres_folder="$(mktemp -d "${TMPDIR:-/tmp}/daybook-test-postgres-XXXXXX")"
    trap stop_postgres EXIT
    password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    printf '%s' "$password" >"$postgres_folder/password"
    chmod 600 "$postgres_folder/password"
    ((EUID != 0)) || chown -R postgres:postgres "$postgres_folder"

    as_postgres "$programs/initdb" --pgdata="$postgres_folder/data" --username=postgres \
        --auth=scram-sha-256 --pwfile="$postgres_folder/password" --encoding=UTF8 --locale=C \
        --no-sync >"$TOOLS/postgres.log" 2>&1 || postgres_failed
    (
        cd / && as_postgres "$programs/postgres" -D "$postgres_folder/data" \
            -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= \
            -c max_connections="$POSTGRES_MAX_CONNECTIONS"
    ) >>"$TOOLS/postgres.log" 2>&1 </dev/null &
    postgres_pid=$!
    wait_for_postgres
    export DAYBOOK_TEST_POSTGRES_URL="postgres://postgres:$password@127.0.0.1:$port/postgres"
    "$programs/postgres" --version
}

# Until the server says in its status file that it takes connections.
wait_for_postgres() {
    local end=$((SECONDS + POSTGRES_PATIENCE_SECONDS))
    until grep -qs '^ready' "$postgres_folder/data/postmaster.pid"; do
        if ((SECONDS > end)) || ! kill -0 "$postgres_pid" 2>/dev/null; then
            postgres_failed
        fi
        sleep 0.1
    done
}

postgres_failed() {
    cat "$TOOLS/postgres.log" >&2
    give_up "PostgreSQL does not start, see above"
}

stop_postgres() {
    local server
    if [[ -n $postgres_pid ]]; then
        # The first line is the server's own process, whatever it was started through.
        server="$(head -n 1 "$postgres_folder/data/postmaster.pid" 2>/dev/null || true)"
        kill -QUIT "${server:-$postgres_pid}" 2>/dev/null || true
        wait "$postgres_pid" 2>/dev/null || true
        postgres_pid=""
    fi
    [[ -z $postgres_folder ]] || rm -rf "$postgres_folder"
}
