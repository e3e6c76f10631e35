//! A way to a server that can fall silent: its connections stay open and carry nothing any more, as when a machine is gone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Listens on loopback and passes on to a server. Ends with its value.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    silenced: watch::Sender<u64>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Passes on to the port, or accepts and says nothing.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(server: Option<u16>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let (silenced, silence) = watch::channel(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut silence = silence.clone();
                silence.mark_unchanged();
                tokio::spawn(async move {
                    let pass = async {
                        match server {
                            Some(port) => {
                                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                                copy_bidirectional(&mut client, &mut server).await.map(drop)
                            }
                            None => std::future::pending().await,
                        }
                    };
                    let silent = tokio::select! {
                        _ = pass => false,
                        changed = silence.changed() => changed.is_ok(),
                    };
                    if silent {
                        // Both ends stay open until the proxy itself is gone.
                        let _ = silence.wait_for(|n| *n == u64::MAX).await;
                        drop(client);
                    }
                });
            }
        });
        Self { port, silenced, accepted, task }
    }

    /// Carries nothing more on the connections that there are; new ones work.
    pub fn silence(&self) {
        self.silenced.send_modify(|n| *n += 1);
    }

    /// Connections that were made, ever.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
