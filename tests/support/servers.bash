# What the tests that need root share: cases with assertions, the servers of tests/servers, leads.
# It expects $work, a folder for this test alone, and $root, the repository.

case_name="the preparation"
begin=$SECONDS

case_() { case_name=$*; printf '%3d s  %s\n' $((SECONDS - begin)) "$case_name"; }

fail() {
    printf '\nFAILED: %s: %s\n' "$case_name" "$*" >&2
    return 1
}

# expect WHAT COMMAND…: the command must do it.
expect() {
    local what=$1
    shift
    "$@" > "$work/said" 2>&1 || { cat "$work/said"; fail "$what"; }
}

# eventually WHAT COMMAND…: the command must do it within a while.
eventually() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "still waiting for $what"
        sleep 0.1
    done
}

not() { ! "$@"; }

# same WHAT EXPECTED FOUND
same() { [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"; }

# needs PROGRAM PACKAGE…
needs() {
    command -v "$1" > /dev/null && return
    shift
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } > "$work/apt.log" 2>&1 \
        || { cat "$work/apt.log"; fail "cannot install $*"; }
}

free_port() {
    node -e 'const s = require("net").createServer(); s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

# The servers end when the test does, which closes the leash.
install_servers() {
    mkfifo "$work/leash"
    exec 9<> "$work/leash"
    local installed=$root/tests/servers/node_modules/.installed
    cmp -s "$root/tests/servers/package-lock.json" "$installed" && return
    (cd "$root/tests/servers" && npm ci --no-audit --no-fund > /dev/null && cp package-lock.json node_modules/.installed)
}

start_azurite() {
    azurite_port=$(free_port)
    mkdir -p "$work/azurite"
    (cd "$root/tests/servers" && exec node --import ./leash.mjs node_modules/.bin/azurite-table --silent --disableTelemetry --skipApiVersionCheck \
        --tableHost 127.0.0.1 --tablePort "$azurite_port" --location "$work/azurite") < "$work/leash" 9>&- > "$work/azurite.log" 2>&1 &
    servers+=($!)
    eventually "Azurite" leads 0 0
}

# The key is published: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
azurite_key=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==
azurite_connection() {
    echo "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=$azurite_key;TableEndpoint=http://127.0.0.1:$azurite_port/devstoreaccount1;"
}

# leads FROM COUNT: new rows.
leads() { node "$root/tests/servers/rows.mjs" --port "$azurite_port" --from "$1" --count "$2"; }

make_certificates() {
    local subject=/CN=127.0.0.1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=test authority" \
        -addext basicConstraints=critical,CA:TRUE -keyout "$work/authority.key" -out "$work/authority.pem" 2> /dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$subject" \
        -keyout "$work/server.key" -out "$work/server.csr" 2> /dev/null
    openssl x509 -req -in "$work/server.csr" -CA "$work/authority.pem" -CAkey "$work/authority.key" -CAcreateserial -days 2 \
        -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") -out "$work/server.pem" 2> /dev/null
}

# start_mail_server NAME OPTION…: its journal is $work/NAME; the port is printed into $work/NAME.port.
start_mail_server() {
    local name=$1
    shift
    mkdir -p "$work/$name"
    (exec node "$root/tests/servers/mail.mjs" --journal "$work/$name" --cert "$work/server.pem" --key "$work/server.key" "$@") \
        < "$work/leash" 9>&- > "$work/$name.port" 2> "$work/$name.log" &
    servers+=($!)
    eventually "the mail server $name" grep -q port "$work/$name.port"
}

mail_port() { jq .port "$work/$1.port"; }

# mailed NAME…: the leads that mail servers have taken, by number, each as often as it was mailed.
mailed() {
    local name
    for name in "$@"; do
        grep -hos 'Email *customer[0-9]*@' "$work/$name"/*.eml || true
    done | grep -o '[0-9]*' | sort -n
}

# are_mailed COUNT NAME…: the leads 0 to COUNT - 1 were mailed.
are_mailed() {
    local count=$1
    shift
    [ "$(mailed "$@" | uniq | tr '\n' ' ')" = "$(seq 0 $((count - 1)) | tr '\n' ' ')" ]
}

servers=()
stop_servers() { [ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2> /dev/null || true; }
