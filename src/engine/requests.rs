//! What commands ask of the daemon.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;

use super::Engine;
use super::workers::Job;
use crate::history::RunOrder;
use crate::store::{QueuedRequest, Request, StoreError};

impl Engine {
    /// Does what commands have asked for; a run waits until its flow is free.
    pub(super) async fn fulfil_requests(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let taken = self.ctx.store.take_requests(now).await;
        let requests = taken.inspect_err(|_| self.changes.forget())?;
        let mut jobs = Vec::new();
        for QueuedRequest { id, request, asked_by } in requests {
            let by = asked_by.as_deref();
            match request {
                Request::Off(flow) => self.set_off(&flow, true, by, now),
                Request::On(flow) => self.set_off(&flow, false, by, now),
                Request::Retry(_) => {
                    info!(asked_by = by, "mails are retried by command");
                    self.delivery_task.replace(Arc::clone(&self.config));
                }
                Request::Send(mail, _) => {
                    info!(mail, asked_by = by, "a mail is sent to another address by command");
                    self.delivery_task.replace(Arc::clone(&self.config));
                }
                Request::Drop(mail) => info!(mail, asked_by = by, "a mail is dropped by command"),
                Request::Run { flow, cause, range } => {
                    // It stays where it is until it is claimed, so it is looked for again.
                    self.changes.forget();
                    let order = RunOrder::without_slot(cause, range);
                    let order = RunOrder { request: Some(id), asked_by, ..order };
                    match self.accept(id, &flow, order).await {
                        Ok(job) => jobs.extend(job),
                        Err(error) => {
                            for job in jobs {
                                self.give_back(&job);
                            }
                            return Err(error);
                        }
                    }
                }
            }
        }
        self.claim(jobs).await
    }

    fn set_off(&mut self, flow: &str, is_off: bool, asked_by: Option<&str>, now: Timestamp) {
        self.planner.set_off(flow, is_off, now);
        info!(flow, asked_by, "turned {} by command", if is_off { "off" } else { "on" });
    }

    /// The run that is asked for, where its flow is free.
    async fn accept(&mut self, id: i64, name: &str, order: RunOrder) -> Result<Option<Job>, StoreError> {
        let Some(flow) = self.config.flows.get(name).cloned() else {
            if self.others_may_know_flow().await? {
                return Ok(None);
            }
            let is_shared = self.ctx.store.has_leases();
            let place = if is_shared { format!(" on {}", self.ctx.node.name) } else { String::new() };
            let answer = format!(
                "the daemon{place} does not know the flow `{name}`; perhaps flows.toml was not reloaded yet"
            );
            self.ctx.store.refuse_request(id, answer).await?;
            return Ok(None);
        };
        if !self.planner.claim(name) {
            return Ok(None);
        }
        Ok(Some(Job { flow, order }))
    }

    /// Whether another daemon has other files than this one, as while a change of them is rolled out.
    async fn others_may_know_flow(&self) -> Result<bool, StoreError> {
        if !self.ctx.store.has_leases() {
            return Ok(false);
        }
        let nodes = self.ctx.store.nodes().await?;
        Ok(nodes.iter().any(|it| it.is_alive && !it.is_command() && it.node.digest != self.config.digest))
    }
}
