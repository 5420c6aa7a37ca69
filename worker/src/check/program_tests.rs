//! What the program could do if a stranger's input had taken it over: here it is a shell that follows its input.

use super::*;

fn shell() -> Program {
    Program {
        file: PathBuf::from("/bin/dash"),
        argument: "-s",
        cpu_seconds: 2,
        wall: Duration::from_secs(20),
        data_bytes: 64 << 20,
        processes: 16,
        output_bytes: 1 << 20,
    }
}

async fn follow(input: &str) -> Result<String, ProgramError> {
    let (sandbox, shell) = (Sandbox::default(), shell());
    let output = sandbox
        .answer(sandbox.begin(shell).await?, input.as_bytes())
        .await?;
    Ok(String::from_utf8(output).unwrap())
}

#[tokio::test]
async fn it_sees_nothing_of_the_worker_and_can_leave_nothing() {
    let outside = tempfile::Builder::new().tempfile_in("/var/tmp").unwrap();
    std::fs::write(outside.path(), "windlass").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let script = format!(
        "for file in {} /etc/shadow /etc/passwd /root/.ssh /home /work /proc/1/root/work; do\n\
         test -e $file && echo \"sees $file\"; done\n\
         for file in /here /tmp/here /root/here /run/here /usr/here /dev/shm/here /usr/local/here; do\n\
         (echo x > $file) 2>/dev/null && echo \"writes $file\"; done\n\
         bash -c 'exec 3<>/dev/tcp/127.0.0.1/{}' 2>/dev/null && echo connects\n\
         env | grep -v -E '^(PATH|LC_ALL|HOME|PWD|OLDPWD)='\n\
         grep CapEff /proc/self/status\n\
         echo end\n",
        outside.path().display(),
        listener.local_addr().unwrap().port()
    );
    let said = follow(&script).await.unwrap();
    assert_eq!(said, "CapEff:\t0000000000000000\nend\n");
    assert!(listener.accept().is_err(), "it reached this machine");
}

#[tokio::test]
async fn it_meets_limits() {
    let limit = |words: &str| Err(ProgramError::Limit(words.to_owned()));
    assert_eq!(
        follow("while :; do :; done").await,
        limit("2 s of processor time")
    );
    let flood = follow("exec yes windlass").await;
    assert_eq!(flood, limit("1 MiB of output"));
    let bomb = follow("for i in $(seq 100); do sleep 30 & done; echo forked").await;
    assert!(matches!(bomb, Err(ProgramError::Broken(_))), "{bomb:?}");
    let ended = follow("echo half; echo why >&2; exit 3").await;
    let why = "status 3, why".to_owned();
    assert_eq!(ended, Err(ProgramError::Broken(why)));
}
