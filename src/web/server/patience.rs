//! A peer that takes nothing of what it has asked for is not waited for without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::Duplex;

/// A stream whose writes fail once the peer has taken nothing for a while.
pub(super) struct Patient {
    stream: Duplex,
    wait: Duration,
    /// Runs while the peer takes nothing.
    over: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(stream: Duplex, wait: Duration) -> Self {
        Self { stream, wait, over: None }
    }

    fn judged<T>(&mut self, context: &mut Context<'_>, taken: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if taken.is_ready() {
            self.over = None;
            return taken;
        }
        let over = self.over.get_or_insert_with(|| Box::pin(sleep(self.wait)));
        ready!(over.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.stream.as_mut().poll_write(context, bytes);
        self.judged(context, taken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let taken = self.stream.as_mut().poll_flush(context);
        self.judged(context, taken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let taken = self.stream.as_mut().poll_shutdown(context);
        self.judged(context, taken)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(Box::pin(near), Duration::from_secs(30));
        let slow = tokio::spawn(async move {
            let mut byte = [0; 1];
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                far.read_exact(&mut byte).await.unwrap();
            }
            far
        });
        near.write_all(b"twelve bytes").await.unwrap();
        let _far = slow.await.unwrap();
        let error = near.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
