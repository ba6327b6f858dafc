// What an operator does, from the button to the mail server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { api, done, eventually, mails, numbers, open, withBrowser, writeLeads } from './browser.mjs';

withBrowser();

const FLOW = '/flows/marketplace-leads';
const question = (page) => page.locator('main .card').innerText();
const heading = (page) => page.locator('h1').textContent();
const lead = (name) => ({
  customer: { FirstName: name, LastName: 'Nowak', Email: `${name.toLowerCase()}@fabrikam.example` },
});

/** The first mail that comes after now and is such a one. */
function arriving(is) {
  const before = mails().length;
  return () => eventually(`a mail: ${is}`, () => mails().slice(before).find(is));
}

async function press(page, name) {
  await Promise.all([page.waitForNavigation(), page.getByRole('button', { name }).click()]);
}

async function runOf(page) {
  const url = new URL(page.url());
  assert.match(url.pathname, /^\/runs\/\d+$/);
  return api(url.pathname);
}

/** Runs the flow from its page; the question says to whom, and a mail arrives. */
async function runs(page, name) {
  writeLeads([lead(name)]);
  const arrives = arriving((mail) => mail.text.includes(`${name.toLowerCase()}@fabrikam.example`));
  await page.goto(FLOW);
  await page.getByRole('link', { name: 'Run now…' }).click();
  assert.equal(await heading(page), 'Run marketplace-leads now?');
  const asked = await question(page);
  assert.match(asked, /In the table now: 1 new row/);
  assert.match(asked, /sales@contoso\.example, partners@contoso\.example/);
  await press(page, 'Run now');
  const mail = await arrives();
  assert.deepEqual(mail.to, ['sales@contoso.example', 'partners@contoso.example']);
  const run = await eventually('the outcome', async () => {
    const it = await runOf(page);
    return it.outcome === 'sent' && it;
  });
  assert.equal(run.asked_by, 'anna (page)');
  await page.reload();
  assert.match(await page.locator('main').innerText(), /1 new row in 1 mail[^]*anna \(page\)/);
}

test('run now mails the new rows, after saying how many and to whom', async () => {
  const page = await open('anna');
  await runs(page, 'Hanna');
  await done(page);
});

test('without JavaScript a flow is run just the same', async () => {
  const page = await open('anna', { javaScriptEnabled: false });
  await runs(page, 'Marek');
  await done(page);
});

test('run now of a flow that fails says why, and what to do', async () => {
  const page = await open('anna');
  await page.goto('/flows/renewals/run');
  assert.match(await question(page), /there is no table renewals/);
  await press(page, 'Run now');
  await eventually('the failure', async () => (await runOf(page)).outcome === 'failed');
  await page.reload();
  assert.match(await page.locator('.notice').innerText(), /check name in the flow's \[table\]/);
  await done(page);
});

test('a flow is turned off and on, and the page says by whom', async () => {
  const page = await open('anna');
  await page.goto('/flows/trials');
  await page.getByRole('link', { name: 'Turn off…' }).click();
  assert.equal(await heading(page), 'Turn trials off?');
  assert.match(await question(page), /waiting mails are still sent/);
  await press(page, 'Turn off');
  assert.match(await page.locator('.line').innerText(), /off\s+since .*, by anna \(page\)/);
  await page.getByRole('link', { name: 'Flows', exact: true }).click();
  assert.match(await page.locator('tr', { hasText: 'trials' }).innerText(), /off[^]*by anna \(page\)/);
  await page.goto('/flows/trials');
  await page.getByRole('link', { name: 'Turn on…' }).click();
  await press(page, 'Turn on');
  assert.match(await page.locator('.line').innerText(), /^on/);
  await done(page);
});

test('resubmit mails what a run read, to the same people', async () => {
  const { sent } = await numbers();
  const arrives = arriving((mail) => mail.text.includes('Subject: marketplace-leads'));
  const page = await open('anna');
  await page.goto(`/runs/${sent}`);
  await page.getByRole('link', { name: 'Resubmit…' }).click();
  assert.equal(await heading(page), `Resubmit run ${sent}?`);
  assert.match(await question(page), /already mailed: [1-9][^]*To: sales@contoso\.example, partners@contoso\.example/);
  await page.getByLabel('Also mail rows that were already mailed').check();
  await press(page, 'Mail');
  const run = await runOf(page);
  assert.equal(run.asked_by, 'anna (page)');
  assert.equal(run.cause, 'resubmit');
  await arrives();
  await done(page);
});

test('replay shows how many rows a range has before it mails them', async () => {
  const page = await open('anna');
  await page.goto(FLOW);
  await page.getByRole('link', { name: 'Replay…' }).click();
  await page.getByLabel('Also mail rows').check();
  await page.getByRole('button', { name: 'Look' }).click();
  const asked = await question(page);
  const rows = Number(asked.match(/(\d+) rows are mailed/)[1]);
  assert.ok(rows >= 7, asked);
  assert.match(asked, /To: sales@contoso\.example, partners@contoso\.example/);
  const arrives = arriving((mail) => mail.text.includes('minjun.kim@fabrikam.example'));
  await press(page, 'Mail');
  const run = await runOf(page);
  assert.equal(run.cause, 'replay');
  await arrives();
  await eventually('the outcome', async () => (await runOf(page)).rows === rows);
  await done(page);
});

test('a replay of a range that ends before it begins is refused in words', async () => {
  const page = await open('anna', {}, [400]);
  await page.goto(`${FLOW}/replay?from=2026-02-01&to=2026-01-01`);
  assert.match(await page.locator('main').innerText(), /the begin of the range is not before its end/);
  await done(page);
});

test('a held mail is retried, to the one who did not get it, and dropped', async () => {
  const { held } = await numbers();
  const page = await open('anna');
  await page.goto(`/outbox/${held}`);
  await page.getByRole('link', { name: 'Retry…' }).click();
  assert.match(await question(page), /→ refused@partner\.example/);
  assert.doesNotMatch(await question(page), /emea@/);
  await press(page, 'Retry');
  await eventually('the second refusal', async () => {
    const mail = await api(`/mails/${held}`);
    return mail.tries === 2 && mail.recipients.some((it) => it.state === 'held');
  });
  await page.reload();
  assert.match(await page.locator('main').innerText(), /Last decided by\s+anna \(page\)/);
  await page.getByRole('link', { name: 'Drop…' }).click();
  assert.match(await question(page), /It will not be sent to: refused@partner\.example/);
  await press(page, 'Drop');
  assert.match(await page.locator('main tbody').innerText(), /refused@partner\.example\s+dropped/);
  await page.goto('/outbox');
  assert.equal(await page.getByRole('link', { name: String(held), exact: true }).count(), 0);
  await done(page);
});

test('retry all asks first, and tries what waits', async () => {
  const { waiting } = await numbers();
  const tries = (await api(`/mails/${waiting}`)).tries;
  const page = await open('anna');
  await page.goto('/outbox');
  await page.getByRole('link', { name: 'Retry all…' }).click();
  assert.equal(await heading(page), 'Retry every waiting and held mail?');
  await press(page, 'Retry all');
  assert.equal(await heading(page), 'Outbox');
  await eventually('another attempt', async () => (await api(`/mails/${waiting}`)).tries > tries);
  await done(page);
});

test('a test mail goes to one address, and to nobody else', async () => {
  const arrives = arriving((mail) => mail.to.includes('trial@contoso.example'));
  const page = await open('anna');
  await page.goto(FLOW);
  await page.getByRole('link', { name: 'Test mail…' }).click();
  assert.match(
    await question(page),
    /Without an address here it goes to: sales@contoso\.example, partners@contoso\.example/,
  );
  await page.getByLabel('Only to this address').fill('trial@contoso.example');
  await press(page, 'Send');
  assert.match(await page.locator('main').innerText(), /accepted\s+trial@contoso\.example/);
  const mail = await arrives();
  assert.deepEqual(mail.to, ['trial@contoso.example']);
  await done(page);
});
