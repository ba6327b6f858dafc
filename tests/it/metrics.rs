//! Figures for Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use leadflow::engine::Meters;
use prometheus::proto::MetricFamily;
use serde_json::{Value, json};

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
        "leadflow_mails{state=\"waiting\"} 1",
        "leadflow_mails{state=\"uncertain\"} 0",
        "leadflow_mails{state=\"held\"} 0",
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
    let state = SharedState::new();
    let node = Sandbox::on_postgres(flows(), &state.on("vm-1"));
    node.run(&["run", "--once"]);
    node.table().insert(&rows(["r1"]));
    node.run(&["run", "--once"]);
    let text = node.exits(0, &["health", "--prometheus", "-"]).stdout;
    let of_state = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let meters = Meters::new();
    let live = meters.families();
    let of_process = live.iter().map(MetricFamily::name);
    // It has one for each connection of a file, and here is none.
    let there: BTreeSet<&str> =
        of_state.chain(of_process).chain(["leadflow_connection_failures_total"]).collect();
    let document = document("monitoring.md");
    assert_eq!(documented(&document), there);
}

#[test]
fn dashboard_and_alert_rules_ask_for_figures_that_there_are() {
    let document = document("monitoring.md");
    let documented = documented(&document);
    for (file, least) in [("monitoring/dashboard.json", 20), ("monitoring/alerts.yml", 8)] {
        let text = self::document(file);
        let asked = names(&text);
        let is_unknown = |name: &&&str| {
            // A histogram is asked for by its parts.
            let whole = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            !documented.contains(**name) && !whole.is_some_and(|whole| documented.contains(whole))
        };
        let unknown: Vec<_> = asked.iter().filter(is_unknown).collect();
        assert!(unknown.is_empty(), "{file} asks for figures that leadflow does not have: {unknown:?}");
        assert!(asked.len() >= least, "{file}: {asked:?}");
    }
}

#[test]
fn the_dashboard_is_of_no_machine_and_says_what_each_panel_shows() {
    let dashboard: Value = serde_json::from_str(&document("monitoring/dashboard.json")).unwrap();
    assert_eq!(
        (&dashboard["id"], &dashboard["templating"]["list"][0]["name"]),
        (&Value::Null, &json!("DS_PROMETHEUS"))
    );
    let source = json!({ "type": "prometheus", "uid": "${DS_PROMETHEUS}" });
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert_eq!(panel["datasource"], source, "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(
            !targets.is_empty() && targets.iter().all(|target| target["datasource"] == source),
            "{title}"
        );
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + width <= 24, "{title}");
        let fields = (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y)));
        assert!(fields.into_iter().all(|field| taken.insert(field)), "{title} lies over another panel");
    }
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The figures in the tables of docs/monitoring.md.
fn documented(document: &str) -> BTreeSet<&str> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.filter(|name| name.starts_with("leadflow_")).collect()
}

/// Every name of a figure in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    text.split(|sign| !is_part(sign)).filter(|word| word.starts_with("leadflow_")).collect()
}
