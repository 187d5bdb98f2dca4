//! Messages with descriptors over the sockets to the jailer, the zygote and the inits.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

const MOST: usize = 10;

/// Sends a message, short enough to be taken whole, with descriptors: all of it or nothing.
pub async fn send(
    link: &UnixStream,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let sent = link
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            let parts = [io::IoSlice::new(message)];
            Ok(sendmsg(
                link.as_fd(),
                &parts,
                &mut control,
                SendFlags::NOSIGNAL,
            )?)
        })
        .await?;
    if sent == message.len() {
        Ok(())
    } else {
        Err(io::Error::other("a message was taken in part"))
    }
}

/// Fills `record`, and keeps the descriptors that come with it.
pub async fn receive_exactly(link: &UnixStream, record: &mut [u8]) -> io::Result<Vec<OwnedFd>> {
    let (mut filled, mut descriptors) = (0, Vec::new());
    while filled < record.len() {
        let count = link
            .async_io(Interest::READABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let mut parts = [io::IoSliceMut::new(&mut record[filled..])];
                let flags = RecvFlags::CMSG_CLOEXEC;
                let received = recvmsg(link.as_fd(), &mut parts, &mut control, flags)?;
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(came) = message {
                        descriptors.extend(came);
                    }
                }
                Ok(received.bytes)
            })
            .await?;
        if count == 0 {
            return Err(io::Error::other("it is gone"));
        }
        filled += count;
    }
    Ok(descriptors)
}

/// Whether the other end, which says nothing of itself, is still there.
pub fn is_open(link: BorrowedFd<'_>) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(
        recv(link, &mut [0_u8; 1], flags),
        Err(rustix::io::Errno::AGAIN)
    )
}
