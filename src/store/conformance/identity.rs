//! The state as a whole: its name, its place, and whether somebody has written to it.

use super::*;

pub(in crate::store) async fn the_state_is_whole_and_has_one_name_for_whoever_opens_it(state: &impl State) {
    let store = opened(state).await;
    let name = store.identity().await.unwrap();
    assert!(!name.is_empty());
    assert_eq!(state.open().await.verify().await.unwrap(), name);
    assert!(store.is_in_place());
}

pub(in crate::store) async fn what_another_process_writes_counts_as_unseen(state: &impl State) {
    let store = opened(state).await;
    let mut changes = store.changes();
    assert!(changes.any(), "all of it is unseen at first");
    state.open().await.add_request(Request::Retry(None), ANNA, at(1)).await.unwrap();
    assert!(changes.any());
    changes.forget();
    assert!(changes.any(), "whoever could not look looks again");
}
