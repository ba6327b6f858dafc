//! Tests of the whole: the real binary against Azurite, SMTP servers and scripted servers.

#[cfg(test)]
mod alarms;
#[cfg(test)]
mod api;
#[cfg(test)]
mod before;
#[cfg(test)]
mod border;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod broken_file;
#[cfg(test)]
mod broken_sessions;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod databases;
#[cfg(test)]
mod day;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod entra;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod forget;
#[cfg(test)]
mod forget_claims;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod help;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod holders;
#[cfg(test)]
mod hostile_mail;
#[cfg(test)]
mod hostile_tables;
#[cfg(test)]
mod json;
#[cfg(test)]
mod leads;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod links;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod meters;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod odd_times;
#[cfg(test)]
mod office365;
#[cfg(test)]
mod page;
#[cfg(test)]
mod page_access;
#[cfg(test)]
mod page_guests;
#[cfg(test)]
mod page_hostile;
#[cfg(test)]
mod page_listen;
#[cfg(test)]
mod page_load;
#[cfg(test)]
mod page_metrics;
#[cfg(test)]
mod previews;
#[cfg(test)]
mod promise;
#[cfg(test)]
mod recover;
#[cfg(test)]
mod reliability;
#[cfg(test)]
mod remedies;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rows;
#[cfg(test)]
#[cfg(test)]
mod smtp_names;
#[cfg(test)]
mod smtp_refusals;
#[cfg(test)]
mod smtp_replies;
#[cfg(test)]
mod state_copy;
#[cfg(test)]
mod stops;
#[cfg(test)]
mod support;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod three_nodes;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod which_file;
#[cfg(test)]
mod who_asks;
#[cfg(test)]
mod wrong_recipient;
