//! The last value of a body may own the supervisor of that body, and shut it down.

mod alone;

use alone::alone;
use bedplate::supervisor::{ChildSpec, Restart, ShutdownReport, Stop, Supervisor};
use core::time::Duration;
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

type Slot = Arc<Mutex<Option<Supervisor>>>;

struct Owner(Slot, mpsc::Sender<ShutdownReport>);

impl Drop for Owner {
    fn drop(&mut self) {
        let supervisor = self.0.lock().unwrap().take();
        if let Some(supervisor) = supervisor {
            self.1.send(supervisor.shutdown()).unwrap();
        }
    }
}

fn owning(id: &str, slot: &Slot, reports: &mpsc::Sender<ShutdownReport>) -> ChildSpec {
    let owner = Owner(slot.clone(), reports.clone());
    ChildSpec::worker(id, move |me| {
        let _all_of_it = &owner;
        while !me.stop().wait(PATIENCE) {}
    })
}

#[test]
fn after_all_children_have_ended() {
    alone("after_all_children_have_ended", || {
        let (slot, (reports, reported)) = (Slot::default(), mpsc::channel());
        let supervisor = Supervisor::builder("app")
            .child(owning("first", &slot, &reports))
            .child(owning("second", &slot, &reports))
            .start()
            .unwrap();
        let handle = supervisor.handle();
        *slot.lock().unwrap() = Some(supervisor);
        handle.request_stop();
        let report = reported.recv_timeout(PATIENCE).unwrap();
        assert_eq!(report.clean, ["second", "first"]);
    });
}

#[test]
fn while_others_still_run() {
    alone("while_others_still_run", || {
        let (slot, (reports, reported)) = (Slot::default(), mpsc::channel());
        let owner = Owner(slot.clone(), reports);
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let brief = ChildSpec::worker("brief", move |_| {
            let _all_of_it = &owner;
            wait.lock().unwrap().recv().unwrap_err();
        });
        let steady = ChildSpec::worker("steady", |me| while !me.stop().wait(PATIENCE) {});
        let supervisor = Supervisor::builder("app")
            .child(steady)
            .child(brief.restart(Restart::Temporary))
            .start()
            .unwrap();
        *slot.lock().unwrap() = Some(supervisor);
        drop(go);
        let report = reported.recv_timeout(PATIENCE).unwrap();
        assert_eq!(report.clean, ["steady"]);
    });
}

#[test]
fn while_others_are_still_to_be_asked() {
    alone("while_others_are_still_to_be_asked", || {
        let (slot, (reports, reported)) = (Slot::default(), mpsc::channel());
        let steady = ChildSpec::worker("steady", |me| while !me.stop().wait(PATIENCE) {});
        let supervisor = Supervisor::builder("app")
            .child(steady.stop(Stop::Forever))
            .child(owning("last", &slot, &reports).restart(Restart::Temporary))
            .start()
            .unwrap();
        let handle = supervisor.handle();
        *slot.lock().unwrap() = Some(supervisor);
        handle.request_stop();
        let report = reported.recv_timeout(PATIENCE).unwrap();
        assert_eq!(report.clean, ["last", "steady"]);
    });
}
