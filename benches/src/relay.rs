//! A line with a delay: datagrams go to the server and back, each as long after it came. What takes one round trip more
//! takes two delays more, so round trips are measured and not counted from a drawing.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

/// Opens the line; gives where clients reach it. It is there as long as the runtime.
pub(crate) async fn open(server: SocketAddr, delay: Duration) -> SocketAddr {
    let near = Arc::new(UdpSocket::bind(ANY_PORT).await.expect("a socket"));
    let address = near.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        while let Ok((length, client)) = near.recv_from(&mut datagram).await {
            let far = match clients.get(&client) {
                Some(far) => far.clone(),
                None => {
                    let far = Arc::new(UdpSocket::bind(ANY_PORT).await.expect("a socket"));
                    far.connect(server).await.expect("a good address");
                    tokio::spawn(back(far.clone(), near.clone(), client, delay));
                    clients.insert(client, far.clone());
                    far
                }
            };
            let bytes = datagram.get(..length).unwrap_or_default().to_vec();
            tokio::spawn(async move {
                sleep(delay).await;
                // A datagram may be lost.
                let _ = far.send(&bytes).await;
            });
        }
    });
    address
}

async fn back(far: Arc<UdpSocket>, near: Arc<UdpSocket>, client: SocketAddr, delay: Duration) {
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(length) = far.recv(&mut datagram).await {
        let (near, bytes) = (near.clone(), datagram.get(..length).unwrap_or_default().to_vec());
        tokio::spawn(async move {
            sleep(delay).await;
            // A datagram may be lost.
            let _ = near.send_to(&bytes, client).await;
        });
    }
}

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const DATAGRAM_BYTES_MAX: usize = 65_536;
