#!/usr/bin/env bash
# Makes the logs of this folder anew, from real programs. See README.md.
#
#   sudo ./make-logs.sh [OUTPUT_DIRECTORY]
#
# Needs root on a Debian-like system with: mmdebstrap nginx-light redis-server
# redis-tools postgresql rsyslog bsdutils apache2-utils curl util-linux.
# Servers listen on 127.0.0.1 only, loads are bounded, everything is stopped at
# the end. The programs run in their own mount and UTS namespace, where the
# work directory is /srv and the host is called "web01", so that the logs say
# nothing about the machine they were made on.
set -euo pipefail

if [ "${MAKE_LOGS_INSIDE:-}" != yes ]; then
    out=$(realpath "${1:-.}")
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    MAKE_LOGS_INSIDE=yes unshare --mount --uts --propagation private \
        bash "$0" "$out" "$work"
    exit
fi

out=$1
chmod 755 "$2"
mount --bind "$2" /srv
hostname web01
cd /srv
export HOME=/srv TZ=UTC LC_ALL=C
pids=()
stop_all() {
    kill "${pids[@]}" 2>/dev/null || true
    sleep 1
    kill -9 "${pids[@]}" 2>/dev/null || true
}
trap stop_all EXIT

wait_for() { # a command that succeeds once the server is up
    for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    echo "no answer: $*" >&2
    return 1
}

# --- dpkg.log: a small system set up from nothing, then changed ------------
make_dpkg() {
    mmdebstrap --mode=root --format=null --variant=minbase \
        --include=nginx-light,redis-server,rsyslog,cron,logrotate,openssh-server,build-essential,postgresql,git \
        --customize-hook='chroot "$1" apt-get -y remove redis-server' \
        --customize-hook='chroot "$1" apt-get -y purge nginx-light' \
        --customize-hook='chroot "$1" apt-get -y autoremove' \
        --customize-hook="cp \"\$1/var/log/dpkg.log\" '$out/dpkg.log'" \
        bookworm /dev/null >/dev/null 2>&1
}

# --- nginx-access.log (Combined), syslog.log (RFC 3164, through rsyslog) ---
make_nginx() {
    mkdir -p www/static run
    head -c 9000 /dev/zero | tr '\0' 'x' >www/static/app.js
    for page in index about contact; do echo "<h1>$page</h1>" >"www/$page.html"; done
    for n in $(seq 40); do echo "item $n" >"www/static/item-$n.txt"; done
    chmod -R a+rX www
    cat >rsyslog.conf <<CONF
global(workDirectory="/srv/run" localHostname="web01")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/srv/run/log")
# nginx names the kernel it runs on; the log of an example should not.
:msg, contains, "OS: Linux" stop
action(type="omfile" file="/srv/syslog.log" template="RSYSLOG_TraditionalFileFormat")
CONF
    rsyslogd -n -f rsyslog.conf -i /srv/run/rsyslog.pid & pids+=($!)
    wait_for test -S run/log
    cat >nginx.conf <<CONF
worker_processes 2;
pid /srv/run/nginx.pid;
error_log syslog:server=unix:/srv/run/log,nohostname,tag=nginx info;
events { worker_connections 256; }
http {
    access_log /srv/nginx-access.log combined;
    limit_req_zone \$binary_remote_addr zone=api:64k rate=20r/s;
    server {
        listen 127.0.0.1:18080;
        root /srv/www;
        location /api/ { limit_req zone=api burst=5 nodelay; return 200 '{"ok":true}'; }
        location /private/ { deny all; }
        location /old/ { return 301 /index.html; }
        location /backend/ { proxy_pass http://127.0.0.1:18999; }
    }
}
CONF
    nginx -p /srv -c /srv/nginx.conf -e /srv/nginx-start.log -g 'daemon off;' & pids+=($!)
    wait_for curl -fs http://127.0.0.1:18080/index.html
    logger --socket run/log --tag deploy --id=$$ "release 4.2.0 started on 2 workers"
    ( for n in $(seq 12); do
        logger --socket run/log --tag backup --id=$$ -p daemon.info "snapshot $n of 12 written, $((n * 7 + 3)) MB"
        sleep 0.4
      done ) & local backups=$!
    local base=http://127.0.0.1:18080
    ab -q -n 900 -c 8 $base/index.html >/dev/null 2>&1
    ab -q -n 700 -c 4 -k $base/static/app.js >/dev/null 2>&1
    ab -q -n 450 -c 2 $base/missing/favicon.ico >/dev/null 2>&1
    for n in $(seq 900); do
        case $((n % 10)) in
            0) set -- "$base/static/item-$((n % 55)).txt?session=$((n * 7919))" ;;
            1) set -- -X POST -d "a=$n" "$base/api/orders/$n" ;;
            2) set -- -I "$base/about.html" ;;
            3) set -- "$base/private/report-$n.pdf" ;;
            4) set -- "$base/old/page/$n" ;;
            5) set -- "$base/backend/user/$((n * 31))" ;;
            6) set -- -A "Mozilla/5.0 (compatible; monitor/2.1)" "$base/index.html" ;;
            7) set -- -e "http://example.com/start" "$base/contact.html" ;;
            8) set -- "$base/users/$((n * 17))/profile" ;;
            *) set -- "$base/api/status" ;;
        esac
        curl -s -o /dev/null "$@" || true
    done
    ab -q -n 500 -c 4 $base/api/stock/7 >/dev/null 2>&1
    for n in $(seq 60); do
        printf 'GET /half HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' | timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/18080; cat >&3; head -c1 <&3 >/dev/null' || true
    done
    logger --socket run/log --tag kernel -p kern.warning "eth0: link is down"
    logger --socket run/log --tag kernel -p kern.info "eth0: link is up, 1000 Mbps"
    wait "$backups"
    kill -HUP "$(cat run/nginx.pid)"; sleep 1
    logger --socket run/log --tag deploy --id=$$ "release 4.2.0 finished"
    kill -QUIT "$(cat run/nginx.pid)"; sleep 1
    kill "$(cat run/rsyslog.pid)"; sleep 1
    cp nginx-access.log syslog.log "$out/"
}

# --- redis.log: start, load, kill -9, recovery from the append-only file ---
make_redis() {
    redis_answers() { redis-cli -p 18379 ping | grep -q PONG; }
    mkdir -p redis
    local server=(redis-server --port 18379 --bind 127.0.0.1 --dir /srv/redis --logfile /srv/redis.log
        --loglevel verbose --appendonly yes --save "1 200" --daemonize no)
    "${server[@]}" & local first=$!; pids+=($first)
    wait_for redis_answers
    redis-benchmark -p 18379 -q -n 900 -c 4 -k 0 -t set -r 1000 >/dev/null
    sleep 6
    redis-benchmark -p 18379 -q -n 40000 -c 10 -t set,lpush -r 100000 -d 64 >/dev/null
    sleep 6
    kill -9 $first; wait $first 2>/dev/null || true
    # The last record of the append-only file is torn, as by a loss of power.
    local aof; aof=$(find redis -name '*.incr.aof' -o -name appendonly.aof | sort | tail -1)
    truncate -s -9 "$aof"
    "${server[@]}" & local second=$!; pids+=($second)
    wait_for redis_answers
    redis-benchmark -p 18379 -q -n 300 -c 2 -k 0 -t get >/dev/null
    sleep 3
    redis-cli -p 18379 shutdown >/dev/null 2>&1 || true
    wait $second 2>/dev/null || true
    cp redis.log "$out/redis.log"
}

# --- postgresql.log: start, load, kill -9 of a backend and of the server ---
make_postgres() {
    local bin; bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
    install -d -o postgres pg
    as() { runuser -u postgres -- "$@"; }
    as "$bin/initdb" -D /srv/pg/data -A trust -U app --no-sync >/dev/null
    install -o postgres /dev/null pg/postgresql.log
    start() {
        as "$bin/postgres" -D /srv/pg/data -c listen_addresses=127.0.0.1 -c port=18432 \
            -c unix_socket_directories= -c fsync=off -c log_connections=on -c log_disconnections=on \
            -c log_line_prefix='%m [%p] %q%u@%d ' -c log_timezone=UTC -c log_checkpoints=on \
            -c log_min_duration_statement=0 -c log_lock_waits=on -c deadlock_timeout=50ms \
            -c checkpoint_timeout=30s -c restart_after_crash=on 2>>pg/postgresql.log &
        pids+=($!)
        wait_for sql -c 'select 1'
    }
    sql() { PGOPTIONS='' psql -q -X -h 127.0.0.1 -p 18432 -U app -d postgres "$@"; }
    start
    pgbench -q -i -s 1 -h 127.0.0.1 -p 18432 -U app postgres >/dev/null 2>&1
    pgbench -h 127.0.0.1 -p 18432 -U app -c 4 -t 60 postgres >/dev/null 2>&1
    pgbench -h 127.0.0.1 -p 18432 -U app -C -S -c 2 -t 60 postgres >/dev/null 2>&1
    for n in $(seq 60); do
        sql -c "insert into pgbench_branches values (1, $n, 'x')" 2>/dev/null || true
        sql -c "select * from orders_$n" 2>/dev/null || true
    done
    for n in $(seq 3); do # two sessions that lock each other's row
        sql -c "begin" -c "update pgbench_accounts set abalance=$n where aid=1" -c "select pg_sleep(0.3)" \
            -c "update pgbench_accounts set abalance=$n where aid=2" -c "commit" >/dev/null 2>&1 &
        sql -c "begin" -c "update pgbench_accounts set abalance=$n where aid=2" -c "select pg_sleep(0.3)" \
            -c "update pgbench_accounts set abalance=$n where aid=1" -c "commit" >/dev/null 2>&1 || true
        sleep 0.5
    done
    sql -c checkpoint
    # One backend dies under load: the server ends all others and recovers.
    pgbench -h 127.0.0.1 -p 18432 -U app -c 3 -T 2 -R 60 postgres >/dev/null 2>&1 &
    sleep 1
    kill -9 "$(sql -Atc 'select pid from pg_stat_activity where application_name = $$pgbench$$ limit 1')"
    sleep 3
    wait_for sql -c 'select 1'
    pgbench -h 127.0.0.1 -p 18432 -U app -c 2 -t 30 postgres >/dev/null 2>&1
    # The whole server dies and is started again.
    kill -9 $(pgrep -P "$(head -1 pg/data/postmaster.pid)") "$(head -1 pg/data/postmaster.pid)" 2>/dev/null || true
    sleep 2
    start
    pgbench -h 127.0.0.1 -p 18432 -U app -S -c 2 -t 40 postgres >/dev/null 2>&1
    as "$bin/pg_ctl" -D /srv/pg/data -m fast stop >/dev/null
    cp pg/postgresql.log "$out/postgresql.log"
}

for part in ${PARTS:-dpkg nginx redis postgres}; do "make_$part"; done
chmod 644 "$out"/*.log
wc -lc "$out"/*.log
