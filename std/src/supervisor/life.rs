//! One incarnation from its start to its end.
//!
//! The end has an order that is a promise to whoever sees the `Down`:
//!
//! 1. the body has returned or unwound, its values are dropped, a panic's payload too;
//! 2. its checkpoints stand, and it saves no more; then what it held is free, in every registry it used: in the reverse of the
//!    order in which it first registered there, so that the name from its specification goes last;
//! 3. its reason is published, its identity given back;
//! 4. every monitor is told;
//! 5. the supervisor's machine is told, and what it decides is done on this thread.
//!
//! So whoever is told of an end may take the name, restore what was saved and start a replacement. Not promised: that the
//! thread itself is gone, for destructors of thread-locals come later, or that it ends at all: it may run the
//! next incarnation, or wait for one of whatever child, see [`reuse`](super::reuse).
//!
//! What a thread is to run first lies in a place of which it takes it, so that who was refused a thread has it back, and looks
//! for another one.

use super::health::Checked;
use super::reuse::{self, OldThread, Pool, Seat};
use super::spares::{self, Parked, Spare};
use super::spec::Work;
use super::tree::{News, Tree};
use super::watch::Beats;
use super::{ChildRef, ChildSpec, Incarnation, Reuse, StartError, request, thread_name};
use crate::process::panic::{catch, contain, discard};
use crate::process::{ExitReason, ThreadPermit};
use crate::registry;
use crate::stop::StopToken;
use crate::sync::{Arc, Mutex, thread};
use bedplate_core::supervision::{Activity, IncarnationId, Ready};
use std::io;

/// An incarnation that is to begin.
pub(super) struct Launch {
    pub(super) spec: Arc<ChildSpec>,
    pub(super) me: ChildRef,
    pub(super) stop: StopToken,
    pub(super) last_exit: Option<ExitReason>,
    /// The thread that is to be gone before it begins.
    pub(super) after: Option<OldThread>,
    /// Where it says what it does, if it is watched.
    pub(super) beats: Option<Arc<Beats>>,
    /// Where it keeps its answers, if it is a check.
    pub(super) checked: Option<Arc<Checked>>,
}

/// What a thread is to run.
pub(super) struct Errand {
    tree: Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
    seat: Seat,
}

/// What a thread does when an incarnation is over.
pub(super) enum Next {
    Run(IncarnationId, Launch, Seat),
    /// It waits as a spare.
    Wait(Parked<Errand>),
    End,
}

/// Where an incarnation begins.
enum Place<'a> {
    Spare(Spare<'a, Seat, Errand>),
    /// On a thread that has yet to be started.
    Fresh(ThreadPermit),
}

/// Starts an incarnation on a thread, and says what came of it, unless the thread will say so itself. If it failed, the
/// incarnation is over.
pub(super) fn launch(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) -> Option<News> {
    let me = launch.me.clone();
    let waits = launch.after.is_some();
    let news = match begin(tree, id, launch, None) {
        Ok(_begun) => (!waits).then_some(News::Started(id)),
        Err(error) => Some(failed(id, &me, error)),
    };
    // It may have ended meanwhile, and this be the last to hold how.
    discard(me);
    news
}

/// Starts an incarnation on another thread than this one, which is a spare and whose right to be there is used for that. It is given
/// back if there is no other thread. If it failed, it is over.
pub(super) fn begin_beside(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
    own: Seat,
) -> Result<Option<(Launch, Seat)>, News> {
    let me = launch.me.clone();
    let begun = begin(tree, id, launch, Some(own.into_permit()));
    let begun = begun.map_err(|error| failed(id, &me, error));
    discard(me);
    begun
}

/// Has an incarnation begin on another thread. It is given back if there is none and this one, of which `own` is the permit, may
/// run it.
fn begin(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
    own: Option<ThreadPermit>,
) -> Result<Option<(Launch, Seat)>, StartError> {
    let may_be_here = own.is_some();
    let place = find_place(tree.spares(), &launch, own);
    let place = place.and_then(|place| {
        register(tree, id, &launch.spec, &launch.me)?;
        Ok(place)
    });
    match place {
        Ok(Place::Spare(spare)) => {
            hand_over(spare, tree, id, launch);
            // Or else this thread takes its place.
            if !may_be_here {
                fill(tree);
            }
            Ok(None)
        }
        Ok(Place::Fresh(permit)) => begin_fresh(tree, id, launch, permit, may_be_here),
        Err(error) => {
            discard(let_go_unbegun(launch));
            Err(error)
        }
    }
}

fn find_place<'a>(
    spares: &'a Pool,
    launch: &Launch,
    own: Option<ThreadPermit>,
) -> Result<Place<'a>, StartError> {
    let spare = || {
        let may_have_one = reuse::may_have_spare(&launch.spec);
        may_have_one.then(|| spares.take()).flatten()
    };
    if is_for_spares(launch)
        && let Some(spare) = spare()
    {
        return Ok(Place::Spare(spare));
    }
    match own.map_or_else(ThreadPermit::claim, Ok) {
        Ok(permit) => Ok(Place::Fresh(permit)),
        Err(none) => spare().map(Place::Spare).ok_or(StartError::ThreadBudget {
            live: none.live,
            limit: none.limit,
        }),
    }
}

/// Whether a spare is what it should begin on: not for the first time, which would use up what is there for crashes.
fn is_for_spares(launch: &Launch) -> bool {
    launch.spec.reuse == Reuse::Spare && launch.me.incarnation() > 1
}

/// What is registered begins on a thread of its own. It is given back if there is none and it may begin here.
fn begin_fresh(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
    permit: ThreadPermit,
    may_be_here: bool,
) -> Result<Option<(Launch, Seat)>, StartError> {
    let spares = tree.spares();
    let seat = Seat::new(&launch.spec, spares.is_wanted(), permit);
    let (launch, permit, error) = match spawn(tree.clone(), id, launch, seat) {
        Ok(()) => {
            // There is a thread to be had again, perhaps, and some are missing.
            if !may_be_here {
                fill(tree);
            }
            return Ok(None);
        }
        Err(refused) => *refused,
    };
    if may_be_here {
        return Ok(Some((launch, Seat::spare(permit))));
    }
    drop(permit);
    if reuse::may_have_spare(&launch.spec)
        && let Some(spare) = spares.take()
    {
        hand_over(spare, tree, id, launch);
        return Ok(None);
    }
    discard(let_go_unbegun(launch));
    Err(StartError::Spawn(error))
}

fn hand_over(spare: Spare<'_, Seat, Errand>, tree: &Arc<Tree>, id: IncarnationId, launch: Launch) {
    let tree = tree.clone();
    spare.begin(|seat| Errand {
        tree,
        id,
        launch,
        seat,
    });
}

/// What was to begin, the right to the thread, and why there is none.
type Refused = Box<(Launch, ThreadPermit, io::Error)>;

/// Starts a thread.
fn spawn(tree: Arc<Tree>, id: IncarnationId, launch: Launch, seat: Seat) -> Result<(), Refused> {
    let mut builder = thread::Builder::new().name(if seat.is_spare() {
        name_of_spares(&tree)
    } else {
        launch.me.path().to_owned()
    });
    if let Some(bytes) = seat.stack_size() {
        builder = builder.stack_size(bytes);
    }
    let own = seat.own.clone();
    let mut handle = own.as_ref().map(OldThread::lock);
    let errand = Errand {
        tree,
        id,
        launch,
        seat,
    };
    let place = Arc::new(Mutex::new(Some(errand)));
    let taken_by_it = place.clone();
    let spawned = builder.spawn(move || {
        let errand = taken_by_it.lock().take();
        drop(taken_by_it);
        work(errand);
    });
    match spawned {
        Ok(thread) => {
            if let Some(handle) = &mut handle {
                handle.handle = Some(thread);
            }
            Ok(())
        }
        Err(error) => {
            let errand = place.lock().take();
            errand.map_or(Ok(()), |Errand { launch, seat, .. }| {
                Err(Box::new((launch, seat.into_permit(), error)))
            })
        }
    }
}

/// Starts spares as long as some are missing and none is refused.
pub(super) fn fill(tree: &Arc<Tree>) {
    let spares = tree.spares();
    while spares.has_room() {
        let Ok(permit) = ThreadPermit::claim() else {
            return;
        };
        let (parked, call) = spares::pair();
        let builder = thread::Builder::new().name(name_of_spares(tree));
        let spawned = builder.spawn(move || work(parked.wait()));
        // Not before: who is called has to be there.
        if spawned.is_err() || !spares.admit(call, Seat::spare(permit)) {
            return;
        }
    }
}

/// No child is called so.
fn name_of_spares(tree: &Tree) -> String {
    format!("{}/spare", tree.name())
}

/// An incarnation is over because it could not be started.
fn failed(id: IncarnationId, me: &ChildRef, error: StartError) -> News {
    let error = Arc::new(error);
    end(me, ExitReason::NotStarted(error.clone()));
    News::StartFailed(id, error)
}

/// Begins an incarnation on the thread of the one before, and says what came of it. If it failed, the incarnation is over, and the
/// thread does not count any more.
pub(super) fn begin_here(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
    seat: Seat,
) -> Result<(Launch, Seat), News> {
    match register(tree, id, &launch.spec, &launch.me) {
        Ok(()) => Ok((launch, seat)),
        Err(error) => {
            let news = failed(id, &launch.me, error);
            discard(let_go_unbegun(launch));
            Err(news)
        }
    }
}

/// Registers an incarnation under the name from its specification, if there is one, which is then kept for the child.
pub(super) fn register(
    tree: &Arc<Tree>,
    id: IncarnationId,
    spec: &ChildSpec,
    me: &ChildRef,
) -> Result<(), StartError> {
    let Some(name) = &spec.name else {
        return Ok(());
    };
    let tree = Arc::downgrade(tree);
    let claim = registry::Claim {
        claimant: tree,
        child: id.child,
    };
    registry::register_name(me, name, Some(&claim)).map_err(|error| StartError::Name {
        name: name.clone(),
        error,
    })
}

/// The whole life of a thread: what it is to run, and what it is called for after that as long as it is a spare.
fn work(mut errand: Option<Errand>) {
    while let Some(given) = errand {
        errand = live(given).and_then(Parked::wait);
    }
}

/// One incarnation, and the next as long as that is to be run here. Where the thread waits after that, if it does.
fn live(errand: Errand) -> Option<Parked<Errand>> {
    let Errand {
        tree,
        id,
        launch,
        seat,
    } = errand;
    let mut next = Next::Run(id, launch, seat);
    let parked = loop {
        match next {
            Next::Run(id, launch, seat) => {
                next = match live_once(&tree, id, launch, &seat) {
                    Some(reason) => tree.go_on(id, reason, seat),
                    None => Next::End,
                };
            }
            Next::Wait(parked) => {
                thread_name::set(&name_of_spares(&tree));
                break Some(parked);
            }
            Next::End => break None,
        }
    };
    // Before it waits, for nobody would end it otherwise.
    discard(tree);
    parked
}

/// One incarnation up to its end, of which its supervisor has yet to be told; nothing if it was ended by somebody else before it
/// began.
fn live_once(
    tree: &Arc<Tree>,
    id: IncarnationId,
    mut launch: Launch,
    seat: &Seat,
) -> Option<ExitReason> {
    if seat.is_spare() {
        thread_name::set(launch.me.path());
    }
    let (me, reason) = if let Some(old) = launch.after.take() {
        let launch = reuse::wait_for(old, tree, id, launch)?;
        if tree.is_wanted(id) {
            begins_to_work(launch.beats.as_ref());
            tree.drive(News::Started(id));
            run(tree, id, launch)
        } else {
            (let_go_unbegun(launch), ExitReason::Shutdown)
        }
    } else {
        run(tree, id, launch)
    };
    tell_others(me, &reason);
    Some(reason)
}

/// The whole end of an incarnation that was asked to stop before its body began, on any thread.
pub(super) fn end_unbegun(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) {
    let me = let_go_unbegun(launch);
    contain(|| end(&me, ExitReason::Shutdown));
    discard(me);
    tree.drive(News::Exited(id, ExitReason::Shutdown));
}

/// Step 1 of the end of an incarnation whose body does not begin. Who it was.
fn let_go_unbegun(launch: Launch) -> ChildRef {
    let Launch {
        spec,
        me,
        stop,
        last_exit,
        ..
    } = launch;
    discard(stop);
    discard(last_exit);
    ChildSpec::let_go(spec);
    me
}

/// Step 1: runs the body, and drops what is its own. Who it was, and how it ended.
fn run(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) -> (ChildRef, ExitReason) {
    let Launch {
        spec,
        me,
        stop,
        last_exit,
        beats,
        checked,
        ..
    } = launch;
    let incarnation = Incarnation {
        me: me.clone(),
        stop,
        last_exit,
        tree: Arc::downgrade(tree),
        id,
        signals: matches!(spec.plan.ready, Ready::Signalled { .. }),
        beats,
        checked,
    };
    me.holdings().belong_to_this_thread();
    // Also when it has been asked to stop meanwhile: what was started runs, and sees it at once.
    request::set_body(Some((tree.clone(), id)));
    let mut context = None;
    contain(|| {
        let (last_exit, last_span) = (incarnation.last_exit(), &spec.last_span);
        let begun = me.span().begin(&me, last_exit, last_span, &spec.context);
        context = Some(begun);
    });
    let context = context.unwrap_or_else(|| spec.context.clone());
    begins_to_work(incarnation.beats.as_ref());
    let reason = match catch(tree.is_quiet(), me.path(), || {
        context.run(|| match &spec.work {
            Work::Thread(body) => body(&incarnation),
            // Who has no body is not started here.
            _ => ExitReason::Gone,
        })
    }) {
        Ok(ExitReason::Normal) if incarnation.stop.is_stopped() => ExitReason::Shutdown,
        Ok(reason) => reason,
        Err(report) => ExitReason::Panicked(Arc::new(report)),
    };
    if incarnation.stop.is_stopped() {
        me.fence().excuse();
    }
    contain(|| me.span().end(&reason));
    // They may own the last of a user's values. From here on nothing of a user's is left but the
    // reason; still, nothing may keep this thread from telling the supervisor.
    incarnation.let_go();
    ChildSpec::let_go(spec);
    (me, reason)
}

fn begins_to_work(beats: Option<&Arc<Beats>>) {
    if let Some(beats) = beats {
        beats.say(Activity::Working);
    }
}

/// Steps 2 to 4 of the end, on the thread of the incarnation.
pub(super) fn tell_others(me: ChildRef, reason: &ExitReason) {
    contain(|| end(&me, reason.clone()));
    discard(me);
    request::set_body(None);
}

/// Steps 2 to 4 of the end; without effect if the incarnation was abandoned before.
pub(super) fn end(me: &ChildRef, reason: ExitReason) {
    let _otherwise_it_was_abandoned = me.end(reason);
}
