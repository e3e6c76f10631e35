//! Runs other programs: shows what runs, keeps long output in a log, and gives up when the user interrupts.
//! Knows nothing about what the programs do.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

static STARTED: OnceLock<Instant> = OnceLock::new();
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// How often a long step without output of its own says that it is still at it.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Starts the clock of [`say`], and turns Ctrl-C and SIGTERM into an error of whatever program is being waited for,
/// so that what was started is also ended.
///
/// # Errors
/// When the signals can't be caught.
pub(crate) fn begin() -> Result<()> {
    STARTED.get_or_init(Instant::now);
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // A second one ends this program at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))?;
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// One line of progress, with the seconds since the start.
pub(crate) fn say(line: impl std::fmt::Display) {
    let elapsed = STARTED.get_or_init(Instant::now).elapsed();
    eprintln!("[{:6.1}s] {line}", elapsed.as_secs_f64());
}

/// True once the user has asked to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Forgets an interruption: what follows cleans up, and must be able to run programs.
pub(crate) fn forget_interruption() {
    if let Some(flag) = INTERRUPTED.get() {
        flag.store(false, Ordering::Relaxed);
    }
}

/// Sleeps, but not through an interruption.
///
/// # Errors
/// When interrupted.
pub(crate) fn pause(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        if interrupted() {
            bail!("interrupted");
        }
        thread::sleep(Duration::from_millis(20).min(duration));
    }
    Ok(())
}

/// Asks again every `every` until there is an answer.
///
/// # Errors
/// When interrupted, or at the deadline: then with the last reason that `probe` gave.
pub(crate) fn until<T>(what: &str, limit: Duration, every: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match probe() {
            Ok(answer) => return Ok(answer),
            Err(reason) if Instant::now() >= end => return Err(reason.context(format!("{what}: not within {} s", limit.as_secs()))),
            Err(_) => pause(every)?,
        }
    }
}

/// Runs a program with this terminal's input and output.
///
/// # Errors
/// When it can't be started, fails, or is interrupted.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    check(command, status)
}

/// Runs a program with this terminal's input and output, and gives how it ended.
///
/// # Errors
/// When it can't be started or is interrupted.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let child = start(command)?;
    wait(command, child, None)
}

/// Runs a program and gives what it wrote to standard output; the error holds what it wrote to standard error.
///
/// # Errors
/// When it can't be started, fails, or is interrupted.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start(command)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = thread::spawn(move || read_all(stdout));
    let stderr = thread::spawn(move || read_all(stderr));
    let status = wait(command, child, None)?;
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    check(command, status).map_err(|error| anyhow!("{error}: {}", stderr.trim()))?;
    Ok(stdout)
}

/// Runs a program, shows what it writes to standard output while it does, and gives that too.
///
/// # Errors
/// When it can't be started or is interrupted.
pub(crate) fn shown_and_kept(command: &mut Command) -> Result<(ExitStatus, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = start(command)?;
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut kept = String::new();
        for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')).map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            kept.push_str(&line);
            kept.push('\n');
        }
        kept
    });
    let status = wait(command, child, None)?;
    Ok((status, reader.join().unwrap_or_default()))
}

/// Runs a program with its output in a log; says now and then that it is still running, and shows the end of the log when it fails.
///
/// # Errors
/// When it can't be started, fails, or is interrupted.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).append(true).open(log).with_context(|| format!("open {}", log.display()))?;
    let before = file.metadata()?.len();
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let child = start(command)?;
    let status = wait(command, child, Some(log))?;
    check(command, status).map_err(|error| {
        // What earlier programs wrote there would mislead.
        let written = std::fs::metadata(log).map_or(0, |data| data.len().saturating_sub(before));
        anyhow!("{error}; the end of {}:\n{}", log.display(), tail(log, written.min(3000)))
    })
}

/// The last `limit` bytes of a file, from the start of a line; empty where it can't be read.
pub(crate) fn tail(file: &Path, limit: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        if length <= limit {
            return read_text(&mut file);
        }
        // From one byte earlier: where that ends a line, nothing is cut off.
        file.seek(SeekFrom::Start(length - limit - 1))?;
        let text = read_text(&mut file)?;
        Ok(text.split_once('\n').map_or(text.clone(), |(_, rest)| rest.to_owned()))
    };
    read().unwrap_or_default()
}

fn read_text(from: &mut impl Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn start(command: &mut Command) -> Result<Child> {
    if interrupted() {
        bail!("interrupted");
    }
    command.spawn().with_context(|| format!("start {}", shown(command)))
}

fn wait(command: &Command, mut child: Child, heartbeat: Option<&Path>) -> Result<ExitStatus> {
    let mut next = Instant::now() + HEARTBEAT;
    let mut nap = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return if interrupted() { Err(anyhow!("interrupted")) } else { Ok(status) };
        }
        if interrupted() {
            // A terminal has told the child as well: give it a moment to end well.
            thread::sleep(Duration::from_millis(500));
            let _ = child.kill();
            child.wait()?;
            bail!("interrupted while running {}", shown(command));
        }
        if let Some(log) = heartbeat.filter(|_| Instant::now() >= next) {
            let last = tail(log, 400).lines().last().unwrap_or_default().chars().take(100).collect::<String>();
            say(format_args!("  … {last}"));
            next = Instant::now() + HEARTBEAT;
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(40));
    }
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(anyhow!("{} failed ({status})", shown(command))) }
}

fn read_all(from: Option<impl Read>) -> String {
    from.and_then(|mut from| read_text(&mut from).ok()).unwrap_or_default()
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| word.to_string_lossy().into_owned());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() > 300 { line.chars().take(300).chain("…".chars()).collect() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_gives_what_was_written_and_the_error_says_why() {
        assert_eq!(output(Command::new("sh").args(["-c", "echo yes"])).unwrap(), "yes\n");
        let error = output(Command::new("sh").args(["-c", "echo because >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("because") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn tail_starts_at_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        std::fs::write(&file, "first\nsecond\nthird\n").unwrap();
        assert_eq!(tail(&file, 9), "third\n");
        assert_eq!(tail(&file, 6), "third\n");
        assert_eq!(tail(&file, 100), "first\nsecond\nthird\n");
        assert_eq!(tail(&folder.path().join("absent"), 9), "");
    }

    #[test]
    fn until_reports_the_last_reason() {
        let error = until("it", Duration::ZERO, Duration::ZERO, || -> Result<()> { bail!("not yet") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "it: not within 0 s: not yet");
    }
}
