//! Requests at a constant rate, whatever the answers do.
//!
//! A client that waits for its answer before it sends again would send less while the service is slow, and leave
//! out just the latencies that hurt (coordinated omission). Here every request has a time at which it should be
//! sent, and its latency counts from then, also when no connection is free.

use std::{
    net::SocketAddr,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{
        Mutex,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
};

use super::{GRACE, Load, Requests, Tally, finish, open};

/// Sends `per_second` requests for `duration` over as many connections as there are `requests`.
pub async fn constant_rate<R: Requests + 'static>(
    service: SocketAddr,
    requests: Vec<R>,
    duration: Duration,
    per_second: u32,
    expected: u16,
) -> anyhow::Result<Load> {
    let connections = open(service, requests.len()).await?;
    let tally = Tally::expecting(expected);
    let (schedule, due) = unbounded_channel();
    let due = Rc::new(Mutex::new(due));
    let mut tasks = JoinSet::new();
    for (mut connection, mut requests) in connections.into_iter().zip(requests) {
        let (tally, due) = (Rc::clone(&tally), Rc::clone(&due));
        tasks.spawn_local(async move {
            loop {
                // The lock is held while waiting: free connections queue up here and take turns.
                let next = due.lock().await.recv().await;
                let Some(intended) = next else { return anyhow::Ok(()) };
                let status = connection.exchange(requests.next()).await?;
                tally.borrow_mut().count(status, &connection, Instant::now().saturating_duration_since(intended));
            }
        });
    }
    let began = Instant::now();
    // A thread of its own: tokio's timers know whole milliseconds only, and half of one would be added to every latency.
    thread::spawn(move || keep_time(&schedule, began, duration, per_second));
    finish(&mut tasks, duration + GRACE).await?;
    tally.borrow_mut().close(began.elapsed())
}

/// Says when each request is due, at that moment; returns early when nobody listens any more.
fn keep_time(schedule: &UnboundedSender<Instant>, began: Instant, duration: Duration, per_second: u32) {
    let mut number = 0;
    loop {
        let offset = Duration::from_secs(1) * number / per_second;
        if offset >= duration {
            return;
        }
        let intended = began + offset;
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        if schedule.send(intended).is_err() {
            return;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_intervals() {
        let (schedule, mut due) = unbounded_channel();
        let began = Instant::now();
        keep_time(&schedule, began, Duration::from_millis(5), 1000);
        drop(schedule);
        let intended: Vec<_> = std::iter::from_fn(|| due.blocking_recv()).map(|time| time - began).collect();
        assert_eq!(intended, (0..5).map(Duration::from_millis).collect::<Vec<_>>());
        assert!(began.elapsed() >= Duration::from_millis(4), "the last one was told before its time");
    }
}
