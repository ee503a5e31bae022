// PHP 7.4's command line, which distributions no longer have, as WebAssembly (WordPress
// Playground): for the connector's tests that need no web server. PHP74 is the folder in
// which @php-wasm/node and @php-wasm/universal are installed (README.md).
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(resolve(process.env.PHP74, 'x.js'));
const { PHP } = require('@php-wasm/universal');
const { loadNodeRuntime, createNodeFsMountHandler } = require('@php-wasm/node');

const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('ERP_')));
const php = new PHP(await loadNodeRuntime('7.4', { emscriptenOptions: { processId: process.pid, ENV: env } }));
for (const folder of new Set([`/${process.cwd().split('/')[1]}`, '/tmp'])) {
  php.mkdir(folder);
  await php.mount(folder, createNodeFsMountHandler(folder));
}
php.chdir(process.cwd());
const answer = await php.cli(['php', ...process.argv.slice(2)], { env });
const copy = async (from, to) => {
  for await (const bytes of from) {
    to.write(bytes);
  }
};
await Promise.all([copy(answer.stdout, process.stdout), copy(answer.stderr, process.stderr)]);
process.exit(await answer.exitCode);
