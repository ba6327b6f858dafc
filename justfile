# Short names for commands; `just` alone lists them. Each is the commands below it and nothing more, and CONTRIBUTING.md
# names the same ones, so that nobody needs `just`.

_list:
    @just --list --unsorted

# After each change, in about a minute: format, lints, unit tests, the rules of the house. Needs Rust alone.
check:
    cargo fmt --all --check
    cargo clippy --lib --bins -- -D warnings
    cargo test --lib --test house

# Before a pull request: all tests that need no root. Needs Node.js 20 or newer. `just test -- NAME` runs some of them.
test *ARGS:
    cargo test {{ARGS}}

# leadflow at work on an embedded table and a mail folder, with a new lead every five seconds, until Ctrl-C.
demo *ARGS:
    cargo run -- demo {{ARGS}}

# What docs/performance.md shows, measured here (about 12 minutes after a release build). `just bench size` is one part.
bench *PARTS:
    scripts/bench {{PARTS}}
