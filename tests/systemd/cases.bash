# The cases of tests/systemd/run, in the order they happen.

flows=/etc/leadflow/flows.toml
flow=marketplace-leads
mailed=0 # leads so far

# more COUNT: new leads, which must be mailed, each once.
more() {
    leads "$mailed" "$1"
    mailed=$((mailed + $1))
    eventually "the leads up to $mailed" are_mailed "$mailed" quick slow
}

each_was_mailed_once() { same "leads that were mailed more than once" "" "$(mailed quick slow | uniq --repeated)"; }

edit() { sed -i "$1" "$tree$flows"; }

# install_package FILE OPTION…
install_package() {
    cp "$1" "$tree/opt/leadflow.deb"
    inside apt-get install "${@:2}" -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 /opt/leadflow.deb > "$work/install.log" 2>&1 \
        || { cat "$work/install.log"; fail "apt-get install"; }
}

# The package of today as an earlier version, with another unit.
previous_package() {
    local folder=$work/previous
    dpkg-deb --raw-extract "$package" "$folder"
    sed -i 's/^Version: .*/Version: 0.0.1-1/' "$folder/DEBIAN/control"
    sed -i 's/^TasksMax=.*/TasksMax=63/' "$folder"/*/systemd/system/leadflow.service "$folder"/usr/lib/systemd/system/leadflow.service 2> /dev/null || true
    dpkg-deb -Znone --root-owner-group --build "$folder" "$work/previous.deb" > /dev/null
}

installed_and_not_started() {
    case_ "apt install: enabled, not started, its file valid"
    previous_package
    install_package "$work/previous.deb"
    expect "word of what is to do" grep -q "systemctl start leadflow" "$work/install.log"
    same "started at boot" enabled "$(inside systemctl is-enabled leadflow)"
    same "running" inactive "$(inside systemctl is-active leadflow || true)"
    same "conffiles" $(($(find "$tree/etc/leadflow/templates" -name '*.hbs' | wc -l) + 1)) "$(inside dpkg-query --show --showformat '${Conffiles}' leadflow | grep -c /etc/leadflow)"
    same "the folder of the secrets" "700 root" "$(inside stat -c '%a %U' /etc/leadflow/secrets)"
    expect "the packaged file" inside leadflow check --strict
    expect "a man page" inside test -s /usr/share/man/man1/leadflow.1.gz
    for file in bash-completion/completions/leadflow zsh/vendor-completions/_leadflow doc/leadflow/docs/operating.md \
        fish/vendor_completions.d/leadflow.fish doc/leadflow/examples/leadflow-health.timer; do
        expect "$file" inside test -s "/usr/share/$file"
    done
}

two_edits_and_a_start() {
    case_ "two edits, two secrets, systemctl start: the main job"
    cp "$work/authority.pem" "$tree/usr/local/share/ca-certificates/test-authority.crt"
    inside update-ca-certificates > /dev/null 2>&1
    azurite_connection > "$tree/etc/leadflow/secrets/leads-storage"
    echo canary-mail-password > "$tree/etc/leadflow/secrets/smtp-password"
    edit "s/^host = .*/host = \"127.0.0.1\"/; s/^port = .*/port = $(mail_port quick)/"
    edit 's/^to = "sales.*/to = "sales@contoso.example"/'
    leads 0 3
    unreadable_for_the_service
    expect "the secrets before the first start" inside leadflow check --online
    mark_journal
    inside systemctl start leadflow
    same "ready" active "$(inside systemctl is-active leadflow)"
    mailed=3
    eventually "the mail" are_mailed 3 quick
    expect "STARTTLS and a login" jq -e '.secure and .user == "leads"' "$work/quick/000001.json"
    eventually "the journal's line of the run" said "flow=.*$flow.*run=1"
    eventually "the journal's line of the mail" said "the mail is sent"
    expect "the next run in the status" status_says "flows on: 1; $flow runs next, 20"
}

# A secret that root can read, and the service cannot: check says so with what to type, which mends it.
unreadable_for_the_service() {
    local told type
    cp "$tree$flows" "$work/flows.toml"
    install -m 600 "$tree/etc/leadflow/secrets/smtp-password" "$tree/root/of-root"
    edit 's|{ credential = "smtp-password" }|{ file = "/root/of-root" }|'
    told=$(inside leadflow check 2>&1) && fail "check takes a secret that the service cannot read: $told"
    told=$(tr -d '│\n' <<< "$told" | tr -s ' ')
    grep -q "the service cannot read /root/of-root: its unit hides /root" <<< "$told" || fail "check says: $told"
    type=$(grep -o 'sudo install -m 600 /root/of-root /etc/leadflow/secrets/of-root' <<< "$told") || fail "check says: $told"
    inside sh -c "${type#sudo }"
    edit 's|{ file = "/root/of-root" }|{ credential = "of-root" }|'
    expect "what check says to type" inside leadflow check
    rm "$tree/root/of-root" "$tree/etc/leadflow/secrets/of-root"
    cp "$work/flows.toml" "$tree$flows"
}

another_file_in_the_folder() {
    case_ "a flows.toml in the folder where a command is typed is not taken for the service's"
    local told
    mkdir -p "$tree/opt/sources"
    sed 's|/var/lib/leadflow|/opt/sources/state|' "$root/tests/systemd/hang.toml" > "$tree/opt/sources/flows.toml"
    told=$(inside sh -c 'cd /opt/sources && leadflow history --json' 2> "$work/said")
    same "runs" sent "$(jq -r '.[0].outcome' <<< "$told")"
    grep -q "using $flows, the running service's; .* --config flows.toml" "$work/said" || fail "it says: $(cat "$work/said")"
    told=$(inside sh -c 'cd /opt/sources && leadflow --config flows.toml history --json' 2> "$work/said")
    same "runs" '[]' "$told"
    same "words" "using /opt/sources/flows.toml" "$(cat "$work/said")"
    same "words from elsewhere" "" "$(inside sh -c 'cd / && leadflow list 2>&1 > /dev/null')"
}

secret_is_mended() {
    case_ "a changed secret is taken without a command, and what waits for it is tried"
    local process secret=$tree/etc/leadflow/secrets/smtp-password
    process=$(property MainPID)
    mark_journal
    echo canary-wrong > "$secret"
    eventually "another process" is_another_process "$process"
    leads "$mailed" 1
    mailed=$((mailed + 1))
    (inside leadflow trigger "$flow" > /dev/null 2>&1 || true) &
    eventually "the refusal in the journal" said "does not accept the login"
    process=$(property MainPID)
    echo canary-mail-password > "$secret"
    eventually "another process" is_another_process "$process"
    eventually "the leads up to $mailed" are_mailed "$mailed" quick slow
    process=$(property MainPID)
    touch "$secret"
    more_by_trigger 1
    same "the process after a save without a change" "$process" "$(property MainPID)"
}

is_another_process() { [ "$(property MainPID)" != "$1" ] && shows ActiveState active; }

sandboxed() {
    case_ "an unprivileged dynamic user under the full sandbox"
    local id status folder user
    id=$(property MainPID)
    status=$(inside cat "/proc/$id/status")
    user=$(awk '/^Uid/ { print $2 }' <<< "$status")
    [ "$user" -ge 61184 ] || fail "it runs as user $user"
    same "capabilities" 0 "$(awk '/^Cap/ && $2 !~ /^0+$/ { some++ } END { print some + 0 }' <<< "$status")"
    same "no new privileges, system calls filtered" "1 2" "$(awk '/^NoNewPrivs|^Seccomp:/ { printf "%s%s", s, $2; s = " " }' <<< "$status")"
    same "limits" "536870912 63" "$(property MemoryMax) $(property TasksMax)"
    same "start limit" 0 "$(property StartLimitIntervalUSec)"
    same "marker" 1 "$(inside find /var/lib/private/leadflow-marker -name flows.toml.marker | wc -l)"
    for folder in leadflow leadflow-marker; do
        same "owner of $folder" "$user" "$(inside stat -c %u "/var/lib/private/$folder")"
    done
    printf '       %s; peak memory %s kB\n' \
        "$(inside systemd-analyze --no-pager security leadflow | tail -n 1 | tr -cd '[:print:]' | sed 's/^ *//')" \
        "$(awk '/^VmHWM/ { print $2 }' <<< "$status")"
    expect "exposure of 1.3 at most" inside systemd-analyze --no-pager security --threshold=13 leadflow
}

by_root_beside_the_service() {
    case_ "commands as root beside the service"
    local told
    more_by_trigger 2
    expect "list" grep -q "$flow" <(inside leadflow list)
    same "runs" sent "$(inside leadflow history --json | jq -r '.[0].outcome // .runs[0].outcome')"
    told=$(inside leadflow check --online 2>&1) || fail "check --online: $told"
    told=$(inside leadflow health) || fail "health: $told"
    same "files of another than the service's user" 0 "$(inside find /var/lib/private/leadflow -not -uid "$(inside stat -c %u /var/lib/private/leadflow)" | wc -l)"
    cp "$tree"/usr/share/doc/leadflow/examples/*.service "$tree"/usr/share/doc/leadflow/examples/*.timer "$tree/etc/systemd/system/"
    mkdir -p "$tree/etc/systemd/system/leadflow-alarm@.service.d"
    printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "echo alarm about %%i > /run/alarm"\n' \
        > "$tree/etc/systemd/system/leadflow-alarm@.service.d/test.conf"
    inside systemctl daemon-reload
    expect "the example of a health check" inside systemctl start leadflow-health.service
    mkdir -p "$tree/var/lib/prometheus/node-exporter"
    expect "the example of figures" inside systemctl start leadflow-metrics.service
    expect "its file" grep -q "^leadflow_healthy 1" "$tree/var/lib/prometheus/node-exporter/leadflow.prom"
    more_by_trigger 1
}

without_sudo() {
    case_ "commands without sudo say so, each of them"
    local command told status
    inside useradd --create-home ana
    for command in list history "history show 1" stats "schedule $flow" "trigger $flow" "outbox list" health "health --json" \
        "off $flow" "backup /tmp/copy.db" "run --once" "preview $flow" "lead list $flow" "check --online"; do
        # shellcheck disable=SC2086
        told=$(inside setpriv --reuid ana --regid ana --init-groups leadflow $command 2>&1) && status=0 || status=$?
        same "the exit status of $command" 1 "$status"
        tr -s "[:space:]" " " <<< "$told" | grep -q "and you are ana; type sudo before the command" || fail "$command says: $told"
    done
}

# A run now, by command, that mails COUNT new leads.
more_by_trigger() {
    leads "$mailed" "$1"
    mailed=$((mailed + $1))
    inside leadflow trigger "$flow" > /dev/null
    eventually "the leads up to $mailed" are_mailed "$mailed" quick slow
}

backed_up_and_restored() {
    case_ "backup beside the service, restore as docs/operating.md has it"
    inside leadflow backup /root/leadflow.db > /dev/null
    inside systemctl stop leadflow
    inside sh -c 'rm /var/lib/leadflow/leadflow.db*'
    expect "a start without the state that is refused" not inside systemctl start leadflow
    expect "the reason in the journal" said "the state in /var/lib/leadflow is gone"
    inside systemctl stop leadflow
    inside cp --remove-destination /root/leadflow.db /var/lib/leadflow/leadflow.db
    inside chown --no-dereference --reference=/var/lib/leadflow/ /var/lib/leadflow/leadflow.db
    inside systemctl start leadflow
    more_by_trigger 1
    each_was_mailed_once
}

encrypted_credential() {
    case_ "an encrypted credential in the place of a file"
    # The key of the machine itself, which is not taken unasked where /var is in memory.
    expect "an encrypted file" inside systemd-creds encrypt --with-key=host --name=smtp-password \
        /etc/leadflow/secrets/smtp-password /etc/leadflow/smtp-password.cred
    rm "$tree/etc/leadflow/secrets/smtp-password"
    mkdir -p "$tree/etc/systemd/system/leadflow.service.d"
    # The waits of the packaged unit would make this a long test.
    printf '[Service]\nLoadCredentialEncrypted=smtp-password:/etc/leadflow/smtp-password.cred\nRestartSec=100ms\nWatchdogSec=4\n' \
        > "$tree/etc/systemd/system/leadflow.service.d/test.conf"
    inside systemctl daemon-reload
    inside systemctl restart leadflow
    more_by_trigger 1
}

reloaded() {
    case_ "reload of a good file and of a bad one"
    mark_journal
    edit 's/^frequency = .*/frequency = "second"/'
    inside systemctl reload leadflow
    eventually "the change in the journal" said "every hour → every second"
    more 2
    edit 's/^frequency = .*/frequency = "seconds"/'
    expect "a reload that fails" not inside systemctl reload leadflow
    expect "the reason in the journal" said "did you mean .second.? use one of"
    eventually "the status" status_says "there are problems: leadflow health"
    same "running" active "$(inside systemctl is-active leadflow)"
    more 1
    edit 's/^frequency = .*/frequency = "second"/'
    eventually "a status that is well" not status_says "something is wrong"
}

killed() {
    case_ "kill -9, nine times in a row: started anew each time, no start limit"
    local last=0
    for _ in 1 2 3 4 5 6 7 8 9; do
        inside systemctl kill --kill-whom=main --signal=KILL leadflow
        eventually "another start" restarted_after "$last"
        last=$(property NRestarts)
    done
    more 2
    each_was_mailed_once
}

restarted_after() { [ "$(property NRestarts)" -gt "$1" ] && shows ActiveState active && shows SubState running; }

stopped_under_load() {
    case_ "stop while a mail is under way: in time, and nothing is lost or doubled"
    local before count
    before=$(find "$work/slow" -name '*.json' | wc -l)
    edit "s/^port = .*/port = $(mail_port slow)/"
    inside systemctl reload leadflow
    leads "$mailed" 3
    mailed=$((mailed + 3))
    count() { [ "$(find "$work/slow" -name '*.json' | wc -l)" -gt "$before" ]; }
    eventually "a mail that waits for its reply" count
    local began=$SECONDS
    inside systemctl stop leadflow
    [ $((SECONDS - began)) -le 25 ] || fail "it took $((SECONDS - began)) s"
    same "result" success "$(property Result)"
    edit "s/^port = .*/port = $(mail_port quick)/"
    inside systemctl start leadflow
    eventually "all leads" are_mailed "$mailed" quick slow
    more 1
    each_was_mailed_once
}

watched() {
    case_ "the watchdog: a process that stands still, and each part that can hang"
    mark_journal
    local before kind point
    before=$(property NRestarts)
    inside systemctl kill --kill-whom=main --signal=STOP leadflow
    cp "$program" "$tree/opt/leadflow-that-hangs"
    for kind in planner ticker delivery store nothing; do
        # At the fifth pass; what the store is asked until then includes the start.
        case $kind in store) point="store=20*off->pause" ;; *) point="$kind=4*off->return" ;; esac
        mkdir -p "$tree/opt/$kind"
        sed "s|/var/lib/leadflow|/var/lib/hang-$kind|" "$root/tests/systemd/hang.toml" > "$tree/opt/$kind/flows.toml"
        inside systemd-run --quiet --no-block --unit="hang-$kind" --property=Type=notify --property=WatchdogSec=4 \
            --property=DynamicUser=yes --property=StateDirectory="hang-$kind" --property=LimitCORE=0 \
            --setenv=FAILPOINTS="$point" /opt/leadflow-that-hangs --config "/opt/$kind/flows.toml" run
    done
    eventually "the restart by the watchdog" restarted_after "$before"
    expect "the watchdog in the journal" said "Watchdog timeout"
    for kind in planner ticker delivery store; do
        eventually "the watchdog to end what hangs in the $kind" shows Result watchdog "hang-$kind"
    done
    same "the daemon without a fault" active "$(inside systemctl is-active hang-nothing)"
    inside systemctl stop hang-nothing
    inside systemctl reset-failed
    more 1
}

fails_for_good() {
    case_ "a file that is wrong at the start: no restart, and OnFailure= hears of it"
    printf '[Unit]\nOnFailure=leadflow-alarm@%%n.service\n' > "$tree/etc/systemd/system/leadflow.service.d/alarm.conf"
    inside systemctl daemon-reload
    inside systemctl stop leadflow
    expect "a health check that fails" not inside systemctl start leadflow-health.service
    eventually "its alarm" grep -q "alarm about leadflow-health.service" "/proc/$init/root/run/alarm"
    edit 's/^frequency = .*/frequency = "seconds"/'
    expect "a start that fails" not inside systemctl start leadflow
    same "state and status" "failed 2" "$(property ActiveState) $(property ExecMainStatus)"
    eventually "the alarm" grep -q "alarm about leadflow.service" "/proc/$init/root/run/alarm"
    edit 's/^frequency = .*/frequency = "second"/'
    inside systemctl start leadflow
    more 1
}

upgraded() {
    case_ "upgrade from the previous package: restarted, state and edits kept"
    local process
    process=$(property MainPID)
    same "version" 0.0.1-1 "$(inside dpkg-query --show --showformat '${Version}' leadflow)"
    install_package "$package"
    expect "another version" test 0.0.1-1 != "$(inside dpkg-query --show --showformat '${Version}' leadflow)"
    same "running" active "$(inside systemctl is-active leadflow)"
    expect "another process" test "$process" != "$(property MainPID)"
    same "tasks, by the new unit" 64 "$(property TasksMax)"
    expect "the edit in flows.toml" grep -q 'to = "sales@contoso.example"$' "$tree$flows"
    expect "the first run in the history" inside leadflow history show 1
    more 1
    each_was_mailed_once
    inside systemctl stop leadflow
    install_package "$package" --reinstall
    same "stopped, and still so after an installation" inactive "$(inside systemctl is-active leadflow || true)"
    inside systemctl start leadflow
}

rebooted() {
    case_ "reboot: started by itself, one run makes up for what was missed"
    local before
    before=$(find "$work/quick" -name '*.json' | wc -l)
    restart_begins
    leads "$mailed" 4
    mailed=$((mailed + 4))
    power_on
    eventually "the leads of meanwhile" are_mailed "$mailed" quick slow
    same "mails" $((before + 1)) "$(find "$work/quick" -name '*.json' | wc -l)"
    each_was_mailed_once
}

told_in_the_journal() {
    case_ "the journal: a line a run and a mail; no secret, no address"
    local runs all
    all=$(inside journalctl --no-pager --output cat --unit leadflow)
    runs=$(inside leadflow history --json | jq '[.[]? // .runs[] | select(.outcome == "sent")] | length')
    [ "$(grep -c "the mail is sent" <<< "$all")" -ge "$runs" ] || fail "fewer lines than the $runs runs that sent"
    for word in canary "${azurite_key:0:20}" customer sales@; do
        expect "no '$word' in the journal" not grep -q "$word" <<< "$all"
    done
}

removed_and_purged() {
    case_ "remove keeps, purge takes everything"
    # What goes along to another machine, see `moved`.
    inside leadflow backup /root/moved.db > /dev/null
    inside cp --archive /etc/leadflow /root/moved
    inside apt-get remove -y -qq leadflow > /dev/null 2>&1
    same "running" inactive "$(inside systemctl is-active leadflow || true)"
    expect "no program" not inside test -e /usr/bin/leadflow
    for path in "$flows" /etc/leadflow/secrets/leads-storage /var/lib/private/leadflow/leadflow.db; do
        expect "$path after remove" inside test -e "$path"
    done
    inside apt-get purge -y -qq leadflow > /dev/null 2>&1
    same "left-overs" "" "$(inside find /etc/leadflow /var/lib/leadflow /var/lib/leadflow-marker /var/lib/private/leadflow \
        /var/lib/private/leadflow-marker /etc/systemd/system/multi-user.target.wants/leadflow.service 2> /dev/null || true)"
}

moved() {
    case_ "another VM, as docs/operating.md has it: goes on where the old one stopped"
    rm -r "$tree/etc/systemd/system/leadflow.service.d"
    install_package "$package"
    inside sh -c 'rm /root/moved/smtp-password.cred && cp --archive /root/moved/. /etc/leadflow/'
    echo canary-mail-password > "$tree/etc/leadflow/secrets/smtp-password"
    inside install -d -m 0700 /var/lib/private
    inside install -d /var/lib/private/leadflow
    inside cp /root/moved.db /var/lib/private/leadflow/leadflow.db
    expect "check" inside leadflow check
    inside systemctl start leadflow
    more 2
    each_was_mailed_once
    expect "the first run in the history" inside leadflow history show 1
}
