/** A message as the server brings it. */
export interface Arrival {
  /** Acknowledging it acknowledges everything up to it. */
  readonly cursor: number;
  readonly bytes: Uint8Array;
}

/** What a socket tells: `open` once, then every `message`, and in the end `close` once. Never before `Connect` has returned. */
export interface SocketEvents {
  open(): void;
  message(arrival: Arrival): void;
  close(): void;
}

/** What is needed of a socket: a WebSocket with a message for acknowledging will do. */
export interface Socket {
  acknowledge(cursor: number): Promise<void>;
  close(): void;
}

/** Begins to connect. */
export type Connect = (events: SocketEvents) => Socket;

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 30_000;

/** Sockets to the server, one after the other: when one closes, the next is made, after a pause that grows until something works. */
export class Connection {
  readonly #connect: Connect;
  readonly #begin: (socket: Socket) => SocketEvents;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pause = FIRST_PAUSE;
  #closed = false;

  /** `begin` is asked, for each socket, who listens to it. */
  constructor(connect: Connect, begin: (socket: Socket) => SocketEvents) {
    this.#connect = connect;
    this.#begin = begin;
  }

  open(): void {
    if (this.#closed) return;
    const socket: Socket = this.#connect({
      open: () => listener.open(),
      message: (arrival) => listener.message(arrival),
      close: () => {
        listener.close();
        if (this.#closed) return;
        this.#timer = setTimeout(() => this.open(), this.#pause);
        this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
      },
    });
    this.#socket = socket;
    const listener = this.#begin(socket);
  }

  /** Whatever was wrong is over: the next pause is short again. */
  works(): void {
    this.#pause = FIRST_PAUSE;
  }

  /** Gives up this socket and makes another one, after the pause. */
  again(): void {
    this.#socket?.close();
  }

  /** For good. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }
}
