import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

/** Rejects when no socket can be bound to `address`: every call would be refused. */
export async function demandAddress(address: string): Promise<void> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, address, resolve);
    });
  } catch {
    throw new Error(
      `no media socket can be bound to ${address}: choose an address of this machine with --media-address`,
    );
  } finally {
    socket.close();
  }
}
