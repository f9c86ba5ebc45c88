//! What people see while they wait: a moving line on a terminal, plain lines elsewhere.

use std::{
    cell::RefCell,
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

use devstack::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// How often plain output repeats itself.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Standard output.
#[derive(Debug)]
pub struct Screen {
    is_terminal: bool,
    step: RefCell<Option<Step>>,
    live: RefCell<Option<Live>>,
}

/// The line that is shown again and again.
#[derive(Debug)]
struct Live {
    line: String,
    shown: Instant,
    bar: ProgressBar,
}

#[derive(Debug)]
struct Step {
    title: String,
    began: Instant,
    shown: Instant,
    bar: ProgressBar,
}

impl Screen {
    /// Looks whether somebody watches.
    pub fn new() -> Screen {
        Screen { is_terminal: stdout().is_terminal(), step: RefCell::new(None), live: RefCell::new(None) }
    }

    /// Prints a line that stays.
    pub fn say(&self, line: &str) {
        self.finish();
        print_line(line);
    }

    /// Ends the current step, if any. On a terminal a slow one leaves a line with its duration.
    pub fn finish(&self) {
        self.end_live();
        let Some(step) = self.step.take() else { return };
        step.bar.finish_and_clear();
        let took = step.began.elapsed();
        if self.is_terminal && took >= Duration::from_secs(1) {
            print(&format!("✓ {} ({:.1} s)\n", step.title, took.as_secs_f32()));
        }
    }

    /// Shows a line that replaces the one before on a terminal, cut to its width. Elsewhere it is printed
    /// when it differs, and not more often than people would want to read it.
    pub fn live(&self, line: &str) {
        let mut shown_before = self.live.borrow_mut();
        let first = shown_before.is_none();
        let view = shown_before.get_or_insert_with(|| Live {
            line: String::new(),
            shown: Instant::now(),
            bar: self.bar("{wide_msg}"),
        });
        let differs = view.line != line;
        if self.is_terminal {
            view.bar.set_message(line.to_owned());
        } else if first || (differs && view.shown.elapsed() >= PLAIN_INTERVAL) {
            print_line(line);
            view.shown = Instant::now();
        } else {
            return; // what was shown last stays the one to compare with
        }
        line.clone_into(&mut view.line);
    }

    fn end_live(&self) {
        let Some(live) = self.live.take() else { return };
        live.bar.finish_and_clear();
        if self.is_terminal {
            print_line(&live.line);
        }
    }

    /// A bar that is seen on a terminal only.
    fn bar(&self, template: &str) -> ProgressBar {
        if !self.is_terminal {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner();
        set_template(&bar, template);
        bar
    }
}

impl Progress for Screen {
    fn step(&self, title: &str) {
        self.finish();
        let bar = self.bar("{spinner} {wide_msg}");
        if self.is_terminal {
            bar.set_message(title.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            print_line(title);
        }
        let now = Instant::now();
        *self.step.borrow_mut() = Some(Step { title: title.to_owned(), began: now, shown: now, bar });
    }

    fn advance(&self, done: u64, total: Option<u64>, detail: &str) {
        let mut step = self.step.borrow_mut();
        let Some(step) = step.as_mut() else { return };
        if !self.is_terminal {
            if step.shown.elapsed() >= PLAIN_INTERVAL {
                step.shown = Instant::now();
                let of_total = total.map(|total| format!("/{total}")).unwrap_or_default();
                print(&format!("  {done}{of_total} {detail}\n"));
            }
            return;
        }
        if let Some(total) = total
            && step.bar.length() != Some(total)
        {
            step.bar.set_length(total);
            set_template(&step.bar, "{spinner} {wide_msg} {bar:30} {pos}/{len} {elapsed}");
        }
        step.bar.set_position(done);
        let shown = if total.is_some() { step.title.clone() } else { format!("{}: {detail}", step.title) };
        step.bar.set_message(shown);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Every template here is constant and well-formed; if one ever is not, the default style will do.
fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// Prints a line, for subcommands that wait for nothing.
pub fn print_line(line: &str) {
    print(&format!("{line}\n"));
}

/// Like `print!`, but a reader that went away (`up | head`) is no reason to leave servers behind.
fn print(text: &str) {
    let mut output = stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}
