//! The system calls that are refused in the sandbox, whoever makes them. Renderers and checkers of configuration read,
//! compute and write; what is listed here watches other processes, changes mounts, namespaces or the kernel, or has
//! been a way out of sandboxes before. Namespaces already keep most of it harmless: this is for the day on which
//! the kernel has a fault.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::{LazyLock, OnceLock};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

/// The open file from which bubblewrap reads it.
pub(super) const NUMBER: &str = "8";

const REFUSED: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // The kernel's keys.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Programs and probes in the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Files by number, past all mounts.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_personality,
];

const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWCGROUP,
];
/// Types what someone else's terminal then reads: TIOCSTI, and TIOCLINUX, which can paste.
const TYPING: [u64; 2] = [0x5412, 0x541C];
/// Families of sockets that nothing needs, from and to: all but Unix, IPv4, IPv6, netlink and packets.
const FAMILIES: [(u64, u64); 3] = [(3, 9), (11, 15), (18, u32::MAX as u64)];

/// What a program is told that asks for something too new: it then does without.
const TOO_NEW: u32 = 0x0005_0000 | libc::ENOSYS.unsigned_abs();
/// Numbers from here on are of another table of x86_64, which the list does not know.
const OTHER_TABLE: u32 = 0x4000_0000;

static FILTER: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let made = program(arch);
    made.inspect_err(|error| tracing::error!(%error, "the filter of system calls cannot be made"))
        .ok()
});

/// Whether this machine's kind of processor has a filter.
pub(super) fn exists() -> bool {
    FILTER.is_some()
}

/// Where what becomes bubblewrap opens it: a file without a name, which bubblewrap closes before anything runs inside.
pub(super) fn path() -> io::Result<Option<String>> {
    static WRITTEN: OnceLock<File> = OnceLock::new();
    let Some(filter) = &*FILTER else {
        return Ok(None);
    };
    let file = match WRITTEN.get() {
        Some(file) => file,
        None => {
            let why = |error| io::Error::other(format!("its filter: {error}"));
            let file = written(filter).map_err(why)?;
            WRITTEN.get_or_init(|| file)
        }
    };
    let number = file.as_raw_fd();
    Ok(Some(format!("/proc/{}/fd/{number}", std::process::id())))
}

fn written(filter: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(filter)?;
    Ok(file)
}

fn program(arch: TargetArch) -> Result<Vec<u8>, BackendError> {
    let filter = SeccompFilter::new(
        rules()?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        arch,
    )?;
    let refusing: BpfProgram = filter.try_into()?;
    let all = first().into_iter().chain(refusing);
    Ok(all.flat_map(bytes).collect())
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let word = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let mut clone = Vec::new();
    for flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        let set = SeccompCmpOp::MaskedEq(flag);
        clone.push(SeccompRule::new(vec![word(0, set, flag)?])?);
    }
    rules.insert(libc::SYS_clone, clone);
    let mut ioctl = Vec::new();
    for request in TYPING {
        ioctl.push(SeccompRule::new(vec![word(1, SeccompCmpOp::Eq, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, ioctl);
    let mut socket = Vec::new();
    for (from, to) in FAMILIES {
        let between = vec![
            word(0, SeccompCmpOp::Ge, from)?,
            word(0, SeccompCmpOp::Le, to)?,
        ];
        socket.push(SeccompRule::new(between)?);
    }
    rules.insert(libc::SYS_socket, socket);
    Ok(rules)
}

/// Before the rest: `clone3` has its flags in memory, where no filter can look; without it `clone` is used.
fn first() -> [sock_filter; 5] {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let step = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    [
        step(LOAD, 0, 0),
        step(EQUAL, 1, clone3),
        step(RETURN, 0, TOO_NEW),
        step(AT_LEAST, 1, OTHER_TABLE),
        step(RETURN, 0, TOO_NEW),
    ]
}

/// As the kernel reads it.
fn bytes(step: sock_filter) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&step.code.to_ne_bytes());
    bytes[2] = step.jt;
    bytes[3] = step.jf;
    bytes[4..].copy_from_slice(&step.k.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::check::{Program, Sandbox};

    /// What each call with these arguments ends with: the number of its error, or 0.
    async fn ends(calls: &[[i64; 3]]) -> Vec<i32> {
        let shell = Program {
            file: PathBuf::from("/bin/dash"),
            argument: "-s",
            cpu_seconds: 2,
            wall: Duration::from_secs(20),
            data_bytes: 64 << 20,
            processes: 16,
            output_bytes: 1 << 20,
        };
        let calls = calls.iter().map(|[call, first, second]| {
            format!("$! = 0; $r = syscall({call}, {first}, {second}, 0, 0, 0, 0); print($r < 0 ? $! + 0 : 0, qq(\\n));")
        });
        let script = format!("exec perl -e '{}'\n", calls.collect::<String>());
        let sandbox = Sandbox::default();
        let begun = sandbox.begin(shell).await.unwrap();
        let said = sandbox.answer(begun, script.as_bytes()).await;
        let said = String::from_utf8(said.unwrap()).unwrap();
        said.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_listed_is_refused() {
        let calls: Vec<[i64; 3]> = REFUSED.iter().map(|call| [*call, 0, 0]).collect();
        for (call, end) in REFUSED.iter().zip(ends(&calls).await) {
            assert_eq!(end, libc::EPERM, "system call {call}");
        }
    }

    #[tokio::test]
    async fn arguments_count_where_a_call_has_good_uses() {
        let clone = |flag: i32| [libc::SYS_clone, i64::from(flag | libc::SIGCHLD), 0];
        let mut refused: Vec<[i64; 3]> = NAMESPACES.into_iter().map(clone).collect();
        for request in TYPING {
            // The upper half of the word is not looked at by the kernel.
            let request = i64::try_from(request).unwrap();
            refused.push([libc::SYS_ioctl, 0, request]);
            refused.push([libc::SYS_ioctl, 0, request | 1 << 40]);
        }
        for family in [3, 9, 11, 15, libc::AF_ALG, libc::AF_VSOCK, libc::AF_XDP] {
            refused.push([libc::SYS_socket, i64::from(family), 1]);
        }
        for (call, end) in refused.iter().zip(ends(&refused).await) {
            assert_eq!(end, libc::EPERM, "{call:?}");
        }
        let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
        let good = families.map(|family| [libc::SYS_socket, i64::from(family), 1]);
        assert_eq!(ends(&good).await, [0, 0, 0]);
    }

    #[tokio::test]
    async fn calls_that_no_filter_can_look_into_are_too_new() {
        let other = i64::from(OTHER_TABLE) + libc::SYS_getpid;
        let ends = ends(&[[libc::SYS_clone3, 0, 0], [other, 0, 0]]).await;
        assert_eq!(ends, [libc::ENOSYS, libc::ENOSYS]);
    }
}
