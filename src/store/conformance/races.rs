//! What processes do at the same moment.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::nodes::two;
use super::*;

/// A run of so many mails, each in a lane of its own. Each is in the hands of one of these nodes in turn.
async fn in_hands(nodes: [&Store; 2], second: i64, mails: usize) -> (i64, Vec<(Store, QueuedMessage)>) {
    let lanes: Vec<_> = (0..mails).map(|number| vec![format!("lane {number}")]).collect();
    let run = begun(nodes[0], second).await;
    let over = |lane: &Vec<String>| Ok(NewMessage { connections: lane.clone(), ..mail(&addresses(), &[]) });
    let all: Vec<_> = lanes.iter().map(over).collect();
    nodes[0]
        .commit_run(run, ScanResult { now: at(second), ..scanned(second) }, all.into_iter())
        .await
        .unwrap();
    let mut taken = Vec::new();
    for (lane, node) in lanes.iter().zip(nodes.into_iter().cycle()) {
        let claimed = node.next_message(lane, at(second)).await.unwrap().unwrap();
        taken.push((node.clone(), claimed));
    }
    (run, taken)
}

fn sent(mail: &QueuedMessage, second: i64) -> AttemptRecord {
    let accept = |known: &Recipient| known.after(Receipt::Accepted("250".to_owned()));
    replies(mail.id, mail.recipients.iter().map(accept).collect(), at(second))
}

pub(in crate::store) async fn of_two_who_claim_of_a_lane_one_gets_its_mail(state: &impl State) {
    let (first, second) = two(state).await;
    let run = begun(&first, 1).await;
    first.commit_run(run, scanned(1), vec![mail(&addresses(), &[]); 20].into_iter().map(Ok)).await.unwrap();
    let lane = addresses();
    let mut order = Vec::new();
    for _ in 0..20 {
        let claims = join_all([&first, &second].map(|node| node.next_message(&lane, at(2)))).await;
        let claims: Vec<_> = claims.into_iter().map(Result::unwrap).zip([&first, &second]).collect();
        let [(mail, node)] =
            claims.iter().filter_map(|(mail, node)| Some((mail.as_ref()?, node))).collect::<Vec<_>>()[..]
        else {
            panic!("{claims:?}")
        };
        assert_eq!(begin(node, mail.id, at(2)).await.unwrap(), Begin::Begun);
        node.record_attempt(sent(mail, 2), at(2)).await.unwrap();
        order.push(mail.id);
    }
    assert!(order.is_sorted() && order.iter().collect::<BTreeSet<_>>().len() == 20, "{order:?}");
}

pub(in crate::store) async fn what_comes_of_mails_of_a_run_at_once_is_all_counted(state: &impl State) {
    let (first, second) = two(state).await;
    for round in 1..=5 {
        let (run, taken) = in_hands([&first, &second], round, 6).await;
        let begun = join_all(taken.iter().map(|(node, mail)| begin(node, mail.id, at(round)))).await;
        assert!(begun.iter().all(|begun| matches!(begun, Ok(Begin::Begun))), "{begun:?}");
        let ends = taken.iter().map(|(node, mail)| node.record_attempt(sent(mail, round), at(round)));
        join_all(ends).await.into_iter().for_each(Result::unwrap);
        assert_eq!(outcome(&first, run).await, Outcome::Sent, "round {round}");
    }
}

/// Begins to send these at once over the connection. Returns what each was told.
async fn begin_all(taken: &[(Store, QueuedMessage)], over: &str, limits: SendLimits) -> Vec<Begin> {
    let begin = |(node, mail): &(Store, QueuedMessage)| {
        let (node, mail, over) = (node.clone(), mail.id, over.to_owned());
        async move { node.begin_sending(mail, &over, limits, at(2)).await.unwrap() }
    };
    join_all(taken.iter().map(begin)).await
}

pub(in crate::store) async fn no_more_is_begun_at_once_than_a_minute_takes(state: &impl State) {
    let (first, second) = two(state).await;
    let limits = SendLimits { per_minute: Some(3), per_hour: None };
    let (_, mut taken) = in_hands([&first, &second], 1, 16).await;
    for connection in 0..5 {
        let told = begin_all(&taken, &format!("relay {connection}"), limits).await;
        let begun = told.iter().filter(|told| **told == Begin::Begun).count();
        let later = told.iter().filter(|told| matches!(told, Begin::NotBefore(_))).count();
        assert_eq!((begun, later), (3, taken.len() - 3), "{told:?}");
        let mut told = told.into_iter();
        taken.retain(|_| told.next() != Some(Begin::Begun));
    }
}

pub(in crate::store) async fn no_more_is_begun_at_once_than_an_hour_takes(state: &impl State) {
    let (first, second) = two(state).await;
    let limits = SendLimits { per_minute: None, per_hour: Some(3) };
    let (_, taken) = in_hands([&first, &second], 1, 8).await;
    let told = begin_all(&taken, "relay", limits).await;
    let begun = told.iter().filter(|told| **told == Begin::Begun).count();
    let taken_back = told.iter().filter(|told| **told == Begin::TakenBack).count();
    assert_eq!((begun, taken_back), (3, 5), "{told:?}");
}

pub(in crate::store) async fn requests_are_done_once_and_in_their_order(state: &impl State) {
    let (first, second) = two(state).await;
    for round in 0..5 {
        let mut asked = Vec::new();
        for _ in 0..4 {
            for request in [Request::Off("leads".to_owned()), Request::On("leads".to_owned())] {
                asked.push(first.add_request(request, ANNA, at(round)).await.unwrap());
            }
        }
        let looks = [&first, &second, &first, &second].map(|node| node.take_requests(at(round)));
        let taken: Vec<_> = join_all(looks).await.into_iter().flat_map(Result::unwrap).collect();
        let mut done: Vec<_> = taken.iter().map(|queued| queued.id).collect();
        done.extend(first.take_requests(at(round)).await.unwrap().iter().map(|queued| queued.id));
        assert_eq!(done, asked, "round {round}");
        assert_eq!(overview(&first, "leads").await.off_since, None, "the last word was to turn it on");
    }
}

pub(in crate::store) async fn failures_that_are_noted_at_once_are_all_counted(state: &impl State) {
    let (first, second) = two(state).await;
    let failure = || ConnectionFailure {
        connection: "relay".to_owned(),
        what: "refused".to_owned(),
        help: None,
        rest_until: None,
    };
    let noted = [&first, &second].into_iter().cycle().take(10);
    let noted = noted.map(|node| node.record_connection_failure(failure(), at(1)));
    join_all(noted).await.into_iter().for_each(Result::unwrap);
    assert_eq!(first.alarm_facts().await.unwrap().connections["relay"].failures, 10);
}
