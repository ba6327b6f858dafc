// What the tests of the page share: a browser, people who sign in, and what must never happen on a page.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';

export const { PAGE, PASSWORD, JOURNAL, TOKEN, AZURITE_PORT } = process.env;
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  // Nothing but the page is asked for anything.
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS });
}

let browser;
const sessions = new Map();

/** Of a file of tests: the browser begins and ends with it. */
export function withBrowser() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());
}

/**
 * A page of this person (`undefined` for a guest), with the options of Playwright's contexts. What goes wrong in it is
 * in `page.problems`, except for answers with a status that is expected.
 */
export async function open(person, options = {}, expected = []) {
  const context = await browser.newContext({ baseURL: PAGE, ...(await session(person)), ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.problems = [];
  const isExpected = (text) => expected.some((status) => text.includes(`status of ${status}`));
  page.on('console', (message) => {
    const isBad = ['error', 'warning'].includes(message.type()) && !isExpected(message.text());
    if (isBad) page.problems.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => page.problems.push(`${page.url()}: ${error}`));
  page.on('requestfailed', (request) => {
    // A page that is left, or a file that is saved, ends what was under way.
    if (request.failure().errorText !== 'net::ERR_ABORTED')
      page.problems.push(`${request.url()}: ${request.failure().errorText}`);
  });
  page.on('response', (response) => {
    const status = response.status();
    if (status >= 400 && !expected.includes(status)) page.problems.push(`${response.url()}: ${status}`);
  });
  return page;
}

/** Nothing has gone wrong in it, and it is closed. */
export async function done(page) {
  assert.deepEqual(page.problems, []);
  await page.context().close();
}

/** The cookies of somebody, who signs in once. */
async function session(person) {
  if (!person) return {};
  if (!sessions.has(person)) {
    const context = await browser.newContext({ baseURL: PAGE });
    const page = await context.newPage();
    await signIn(page, person, PASSWORD);
    assert.equal(new URL(page.url()).pathname, '/', `${person} signs in`);
    sessions.set(person, await context.storageState());
    await context.close();
  }
  return { storageState: sessions.get(person) };
}

export async function signIn(page, person, password) {
  await page.goto('/sign-in');
  await page.getByLabel('Name').fill(person);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** What the API says, for who knows the token. */
export async function api(path) {
  const response = await fetch(`${PAGE}/api/v1${path}`, { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return response.json();
}

/** The mails that the server has taken. */
export function mails() {
  const names = readdirSync(JOURNAL)
    .filter((name) => name.endsWith('.json'))
    .sort();
  return names.map((name) => {
    const text = readFileSync(join(JOURNAL, name.replace('.json', '.eml')), 'utf8');
    return { ...JSON.parse(readFileSync(join(JOURNAL, name), 'utf8')), text };
  });
}

let number = 1_000;

/** New rows in the table of the marketplace: leads with what is different in them. */
export function writeLeads(people) {
  const file = join(tmpdir(), `leadflow-page-${process.pid}.json`);
  writeFileSync(file, JSON.stringify(people));
  const from = (number += 100) + Math.floor(Date.now() / 1_000) * 1_000;
  const script = new URL('../servers/rows.mjs', import.meta.url).pathname;
  execFileSync('node', [script, '--port', AZURITE_PORT, '--from', String(from), '--people', file]);
}

/** Waits for the condition, and returns what it gave. */
export async function eventually(what, condition) {
  const end = Date.now() + 30_000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert.ok(Date.now() < end, `still waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Runs and mails of every kind, by their numbers. */
export async function numbers() {
  const run = async (query) => (await api(`/runs?${query}`))[0].run;
  const outbox = await api('/outbox');
  const stateOf = (state) => outbox.find((mail) => mail.recipients.some((it) => it.state === state)).mail;
  return {
    sent: await run('flow=marketplace-leads&outcome=sent'),
    failed: await run('flow=renewals&outcome=failed'),
    old: 10,
    held: stateOf('held'),
    waiting: stateOf('waiting'),
  };
}
