# A Debian tree that is booted by systemd-nspawn, with the host's network and no machine registered.

# In memory: dpkg syncs each of its files.
make_tree() {
    local suite mirror
    # shellcheck disable=SC1091
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' \
        | awk -v suite="$suite" '$1 == suite && $2 == "main" { print $3; exit }')
    [ -n "$mirror" ] || fail "apt knows no mirror of Debian $suite"
    mkdir -p "$tree" "$root/target/debootstrap"
    mount -t tmpfs -o mode=0755,size=1500m leadflow-test "$tree"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates \
        --cache-dir="$root/target/debootstrap" "$suite" "$tree" "$mirror" > "$work/debootstrap.log" 2>&1 \
        || { tail -n 20 "$work/debootstrap.log"; fail "debootstrap"; }
    mkdir -p "$tree/var/log/journal" "$tree/opt"
}

power_on() {
    systemd-nspawn --quiet --directory="$tree" --boot --register=no --keep-unit --console=pipe --link-journal=no \
        < /dev/null > "$work/console.log" 2>&1 9>&- &
    nspawn=$!
    eventually "the container's init" init_is_there
    init=$(pgrep --parent "$nspawn")
    eventually "the container to be up" is_up
}

init_is_there() { pgrep --parent "$nspawn"; }

is_up() { case $(inside systemctl is-system-running) in running | degraded) ;; *) return 1 ;; esac; }

power_off() {
    [ -n "${nspawn:-}" ] || return 0
    kill -s TERM "$nspawn" 2> /dev/null || true
    wait "$nspawn" || true
    nspawn=
}

# Reboots up to the moment when the machine is down.
restart_begins() {
    local status=0
    inside systemctl reboot
    wait "$nspawn" || status=$?
    # So nspawn asks whoever keeps its unit for another start.
    same "the end of the container that reboots" 133 "$status"
}

# inside COMMAND…: as root in the container.
inside() {
    nsenter --target "$init" --mount --uts --ipc --pid --cgroup --root --wd \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" 9>&- < /dev/null
}

# Only what was said since the last `mark_journal`.
journal() { inside journalctl --no-pager --output cat --after-cursor "$cursor" "$@"; }
mark_journal() { cursor=$(inside journalctl --no-pager --quiet --lines 0 --show-cursor | sed -n 's/^-- cursor: //p'); }

# said WORDS: the service has said them since the mark.
said() { journal --unit leadflow | grep -q -- "$1"; }

# shows PROPERTY VALUE: of the service.
property() { inside systemctl show --property "$1" --value "${2:-leadflow}"; }
shows() { [ "$(property "$1" "${3:-leadflow}")" = "$2" ]; }

status_says() { property StatusText | grep -q -- "$1"; }

show_journal() {
    [ -n "${nspawn:-}" ] || return 0
    inside journalctl --no-pager --lines 25 --unit leadflow || true
    inside systemctl status leadflow --no-pager || true
}
