//! Pods that start, work and drain, and the group that gives out its partitions anew whenever its members change.

use super::World;

/// How long a pod that is told to end takes until it is gone: it finishes what it has begun.
const DRAIN_SECONDS: u32 = 5;
/// Over how many seconds the use of CPU is averaged, as metrics-server does with its default resolution.
const CPU_SECONDS: f64 = 15.0;

/// A pod of the processors.
#[derive(Debug)]
pub struct Pod {
    pub number: u32,
    pub state: State,
    /// When it began.
    pub since: u32,
    pub processed: u64,
    /// How many of those have failed.
    pub failed: u64,
    pub busy_seconds: f64,
    pub throttled_seconds: f64,
    pub in_flight: u32,
    /// For how many seconds it has used all of its CPU time.
    pub cpu_seconds: f64,
    /// Which part of its CPU time it uses, averaged.
    pub cpu: f64,
}

/// What a pod is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It starts until then.
    Starting(u32),
    /// It works.
    Ready,
    /// It finishes what it has begun until then.
    Draining(u32),
}

impl Pod {
    /// It uses this part of its CPU time for a second.
    pub fn use_cpu(&mut self, part: f64) {
        self.cpu_seconds += part.min(1.0);
        self.cpu += (part.min(1.0) - self.cpu) / CPU_SECONDS;
    }
}

impl World<'_> {
    /// Asks for so many replicas: new pods start, and of those that are too many the ones that start go first, then the
    /// youngest.
    pub fn scale(&mut self, replicas: u32) {
        self.replicas = replicas;
        let is_wanted = |pod: &Pod| !matches!(pod.state, State::Draining(_));
        let wanted = self.pods.iter().filter(|pod| is_wanted(pod)).count() as u32;
        for _ in wanted..replicas {
            let (least, most) = self.scenario.start_seconds;
            let ready_at = self.second + self.random.u32(least..=most);
            self.pods.push(Pod {
                number: self.next_pod,
                state: State::Starting(ready_at),
                since: self.second,
                processed: 0,
                failed: 0,
                busy_seconds: 0.0,
                throttled_seconds: 0.0,
                in_flight: 0,
                cpu_seconds: 0.0,
                cpu: 0.0,
            });
            self.next_pod += 1;
        }
        let mut left_over = wanted.saturating_sub(replicas);
        let mut was_member = false;
        for starting in [true, false] {
            for pod in self.pods.iter_mut().rev() {
                let fits = is_wanted(pod) && matches!(pod.state, State::Starting(_)) == starting;
                if left_over > 0 && fits {
                    was_member |= pod.state == State::Ready;
                    pod.state = State::Draining(self.second + if starting { 0 } else { DRAIN_SECONDS });
                    left_over -= 1;
                }
            }
        }
        if was_member {
            self.assign();
        }
    }

    /// Pods become ready or go; whether the group's members are others now.
    pub(super) fn move_pods(&mut self) -> bool {
        let mut joined = false;
        for pod in &mut self.pods {
            if matches!(pod.state, State::Starting(ready_at) if ready_at <= self.second) {
                pod.state = State::Ready;
                joined = true;
            }
        }
        let second = self.second;
        let is_gone = |pod: &Pod| matches!(pod.state, State::Draining(until) if until <= second);
        if self.pods.iter().any(is_gone) {
            let members: Vec<u32> = self.members.iter().map(|(pod, _)| self.pods[*pod].number).collect();
            self.pods.retain(|pod| !is_gone(pod));
            let place = |number: u32| self.pods.iter().position(|pod| pod.number == number);
            let own = std::mem::take(&mut self.members).into_iter().map(|(_, own)| own);
            self.members = members.into_iter().zip(own).filter_map(|(pod, own)| Some((place(pod)?, own))).collect();
        }
        joined
    }

    /// Every member gets as many partitions as the others, or one more, and all stand still meanwhile.
    pub(super) fn assign(&mut self) {
        let ready: Vec<usize> = (0..self.pods.len()).filter(|&pod| self.pods[pod].state == State::Ready).collect();
        for pod in &mut self.pods {
            pod.in_flight = 0;
        }
        let all = self.partitions.len();
        let own = |member: usize| (member..all).step_by(ready.len()).collect();
        self.members = ready.iter().enumerate().map(|(member, &pod)| (pod, own(member))).collect();
        self.pauses_until = self.second + self.scenario.pause_seconds;
        self.epoch += 1;
    }

    /// How many pods there are, whatever they do: each costs.
    pub fn pods(&self) -> u32 {
        self.pods.len() as u32
    }

    /// How many pods are ready.
    pub fn ready(&self) -> u32 {
        self.pods.iter().filter(|pod| pod.state == State::Ready).count() as u32
    }

    /// Which part of its CPU time each pod that is ready uses.
    pub fn cpu(&self) -> Vec<f64> {
        self.pods.iter().filter(|pod| pod.state == State::Ready).map(|pod| pod.cpu).collect()
    }

    /// How often the group's members have changed.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }
}
