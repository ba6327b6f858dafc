// Ends a server when the test that started it is gone: its standard input closes then.
process.stdin.on('end', () => process.exit(0));
process.stdin.on('close', () => process.exit(0));
process.stdin.resume();
process.stdin.unref?.();
