//! Figures for Prometheus at the page, and whether the daemon is alive and ready.

use leadflow_test_postgres::{Cluster, Stop};
use serde_json::json;

use crate::support::embedded::rows;
use crate::support::eventually;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::now;
use crate::support::page::{READER, ROBOT, Visitor, free_port, page, page_on, served};
use crate::support::postgres::SharedState;

fn flows(page: &str) -> FlowsToml {
    let flow = FlowsToml::new().raw(page).embedded("demo").folder("folder").flow("leads").every("day");
    flow.filter(SINCE).body(KEYS)
}

fn sandbox(page: &str) -> Sandbox {
    let sandbox = Sandbox::on_sqlite(flows(page));
    sandbox.table().insert_at(&rows(["a"]), now());
    sandbox
}

/// The value of a figure, by its line up to the value.
fn figure(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn what_the_daemon_counts_is_scraped_from_the_page() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let daemon = sandbox.daemon();
    served(&daemon);
    let guest = Visitor::guest(port);
    let sent = || figure(&guest.get("/metrics").body, "leadflow_runs_total{outcome=\"waiting\"}");
    eventually("the first run", || (sent() == Some(1.0)).then_some(()));
    let reply = guest.get("/metrics");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let nothing = |text: &str| figure(text, "leadflow_runs_total{outcome=\"nothing-new\"}");
    assert_eq!(
        (nothing(&reply.body), figure(&reply.body, "leadflow_daemon_running")),
        (Some(0.0), Some(1.0))
    );
    assert!(!reply.body.contains('@'), "{}", reply.body);
    let run = guest.clone().with_token(ROBOT).post_json("/api/v1/flows/leads/run", &json!({}));
    assert_eq!(run.status, 200, "{run:?}");
    eventually("the run to be counted", || (nothing(&guest.get("/metrics").body) == Some(1.0)).then_some(()));
    let reloads = || figure(&guest.get("/metrics").body, "leadflow_reloads_total{result=\"used\"}");
    let before = reloads().unwrap();
    daemon.signal("HUP");
    eventually("the reload to be counted", || (reloads()? > before).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
fn figures_beyond_this_machine_need_a_token() {
    let port = free_port();
    let lines = format!("listen = \"127.0.0.1:{port}\"\n[settings.page.proxy]\nfrom = [\"127.0.0.1\"]");
    let sandbox = sandbox(&page(&lines));
    let daemon = sandbox.daemon();
    served(&daemon);
    let guest = Visitor::guest(port);
    let refused = guest.get("/metrics");
    assert!(refused.status == 401 && !refused.body.contains("leadflow_runs_total"), "{refused:?}");
    assert_eq!(guest.clone().with_token(READER).get("/metrics").status, 200);
    assert_eq!(guest.with_token("lf_unknown").get("/metrics").status, 401);
    assert!(daemon.stop().success());
}

#[test]
fn a_daemon_whose_database_is_away_is_alive_and_not_ready() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("", &[])));
    let port = free_port();
    let sandbox = Sandbox::on_postgres(flows(&page_on(port)), &SharedState::on_cluster(cluster));
    let daemon = sandbox.daemon();
    served(&daemon);
    let guest = Visitor::guest(port);
    for path in ["/healthz", "/readyz"] {
        eventually("the first tick", || (guest.get(path).status == 200).then_some(()));
        assert_eq!(guest.get(path).body, "ok\n");
    }
    cluster.stop(Stop::Fast);
    let reply = guest.get("/readyz");
    assert_eq!((reply.status, reply.body.as_str()), (503, "the state cannot be used\n"));
    assert_eq!(guest.get("/healthz").status, 200, "the daemon waits for it");
    for path in ["/", "/runs", "/health", "/api/v1/flows"] {
        assert_eq!(guest.get(path).status, 503, "{path}");
    }
    cluster.go_on();
    eventually("the state to be usable again", || (guest.get("/readyz").status == 200).then_some(()));
    assert!(daemon.stop().success());
}
