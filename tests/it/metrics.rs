//! Figures for Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::postgres::SharedState;
use crate::support::{has, now};

/// One flow whose mails reach nobody, one that is off in the file.
fn flows() -> FlowsToml {
    let flows = FlowsToml::new().embedded("demo").relay("relay", 1).flow("leads").filter(SINCE).body(KEYS);
    flows.flow("later").filter(SINCE).body(KEYS).of_flow("enabled = false")
}

/// The lines that are no comments.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn what_waits_and_fails_is_in_the_figures_of_its_flow() {
    let sandbox = Sandbox::on_sqlite(flows());
    sandbox.run(&["run", "--once"]);
    sandbox.table().insert(&rows((0..3).map(|number| format!("r{number}"))));
    sandbox.run(&["run", "--once"]);
    let text = sandbox.exits(0, &["health", "--prometheus", "-"]).stdout;
    for line in [
        "# TYPE leadflow_healthy gauge",
        "leadflow_healthy 0",
        "leadflow_daemon_running 0",
        "leadflow_connection_consecutive_failures{connection=\"relay\"} 1",
        "leadflow_flow_enabled{flow=\"leads\"} 1",
        "leadflow_flow_enabled{flow=\"later\"} 0",
        "leadflow_flow_interval_seconds{flow=\"leads\"} 3600",
        "leadflow_flow_consecutive_failures{flow=\"leads\"} 0",
        "leadflow_flow_waiting_mails{flow=\"leads\"} 1",
        "leadflow_flow_held_mails{flow=\"leads\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "`{line}` is not in:\n{text}");
    }
    for name in ["last_success", "watermark", "oldest_waiting_mail"] {
        let start = format!("leadflow_flow_{name}_timestamp_seconds{{flow=\"leads\"}} ");
        let moment =
            text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{text}"));
        let seconds = moment.split('.').next().unwrap().parse().unwrap();
        let moment = Timestamp::from_second(seconds).unwrap();
        assert!(now().duration_since(moment).abs().as_hours() < 1, "{name}: {moment}");
    }
    assert!(!text.contains("sales@") && !text.contains("nodes"), "{text}");
}

#[test]
fn the_file_is_replaced_as_a_whole_and_everybody_may_read_it() {
    let sandbox = Sandbox::on_sqlite(flows());
    let file = sandbox.path("leadflow.prom");
    fs::write(&file, "old").unwrap();
    let output = sandbox.exits(0, &["health", "--prometheus", "leadflow.prom"]);
    assert_eq!(output.stdout, "");
    // Nothing has run yet, so that there is no state.
    let expected = format!("leadflow_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples(&fs::read_to_string(&file).unwrap()), [expected.as_str(), "leadflow_healthy 0"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let left = fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".leadflow-")));
    let failed = sandbox.exits(1, &["health", "--prometheus", "nothere/leadflow.prom"]);
    has(&failed.stderr, &["cannot write nothere/leadflow.prom", "No such file or directory"]);
}

#[test]
fn a_state_that_cannot_be_used_is_not_healthy() {
    let sandbox = Sandbox::on_sqlite(flows());
    sandbox.run(&["run", "--once"]);
    fs::write(sandbox.path("state/leadflow.db"), "not a database, and longer than its header would be")
        .unwrap();
    let text = sandbox.exits(0, &["health", "--prometheus", "-"]).stdout;
    assert_eq!(samples(&text)[1..], ["leadflow_healthy 0"]);
    let state = SharedState::new();
    let node = Sandbox::on_postgres(flows(), &state.on("vm-1"));
    node.run(&["run", "--once"]);
    let text = node.exits(0, &["health", "--prometheus", "-"]).stdout;
    has(&text, &["leadflow_nodes{state=\"alive\"} 0", "leadflow_flow_enabled{flow=\"leads\"} 1"]);
    node.edit(&format!("database = \"{}\"", state.name()), "database = \"nothere\"");
    let text = node.exits(0, &["health", "--prometheus", "-"]).stdout;
    assert_eq!(samples(&text)[1..], ["leadflow_healthy 0"]);
}

#[test]
fn the_document_has_the_figures_that_there_are() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md");
    let document = fs::read_to_string(document).unwrap();
    let named: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("| `leadflow_")?.split('`').next()).collect();
    let state = SharedState::new();
    let node = Sandbox::on_postgres(flows(), &state.on("vm-1"));
    node.run(&["run", "--once"]);
    node.table().insert(&rows(["r1"]));
    node.run(&["run", "--once"]);
    let text = node.exits(0, &["health", "--prometheus", "-"]).stdout;
    let written: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE leadflow_")?.split(' ').next()).collect();
    assert_eq!(named, written);
}
