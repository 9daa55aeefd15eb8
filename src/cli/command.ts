/** One subcommand of `claviger`. Exit codes: 0 done, 1 it ran and failed, 2 wrong usage or configuration. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  help(): string;
  /** Resolves with the exit code. */
  run(args: readonly string[]): Promise<number>;
}
