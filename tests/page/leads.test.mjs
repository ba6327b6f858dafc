// Leads: what strangers have written does nothing, and is found, proved and exported.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { api, done, open, withBrowser } from './browser.mjs';

withBrowser();

const LEADS = '/leads?flow=marketplace-leads';

/** The mail with the hostile leads. */
async function hostileMail() {
  const runs = await api('/runs?flow=marketplace-leads&outcome=sent');
  const found = runs.findLast((run) => run.rows === 2 && run.run > 20_000);
  return (await api(`/runs/${found.run}`)).mails[0].mail;
}

async function search(page, text) {
  await page.goto(LEADS);
  await page.getByRole('searchbox').fill(text);
  await Promise.all([page.waitForNavigation(), page.getByRole('button', { name: 'Search' }).click()]);
  return page.locator('main tbody tr').allInnerTexts();
}

test('a mail is shown in a frame in which no script runs and nothing is loaded', async () => {
  const mail = await hostileMail();
  const page = await open('ben');
  // Chromium says so when it keeps a script from running.
  const blocked = [];
  page.on('console', (message) => blocked.push(message.text()));
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(`/outbox/${mail}`);
  await page.locator('iframe').scrollIntoViewIfNeeded();
  const frame = page.frameLocator('iframe');
  await frame.getByText('2 new leads').first().waitFor();
  const text = await frame.locator('body').innerText();
  assert.match(text, /<img src=x onerror="document\.title='owned'">/);
  assert.match(text, /<script>document\.title='owned'<\/script>/);
  assert.equal(await frame.locator('script, img, [onerror], a[href^="javascript:" i]').count(), 0);
  const strangers = requests.filter((url) => !url.startsWith(`${new URL(page.url()).origin}/`));
  assert.deepEqual(strangers, []);
  assert.equal(await page.locator('iframe').getAttribute('sandbox'), '');
  await done(page);
});

test('even HTML that has a script is without rights in the frame and alone', async () => {
  const mail = await hostileMail();
  const page = await open('ben');
  const response = await page.goto(`/outbox/${mail}/html`);
  const policy = response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /sandbox/);
  // As if a mail's template had let it through.
  await page.route(`**/outbox/${mail}/html`, (route) =>
    route.fulfill({
      headers: { 'content-security-policy': policy, 'content-type': 'text/html' },
      body: '<title>still</title><script>document.title = "owned"</script><img src=x onerror="document.title=\'owned\'"><p>shown',
    }),
  );
  await page.goto(`/outbox/${mail}/html`);
  await page.getByText('shown').waitFor();
  assert.equal(await page.title(), 'still');
  assert.ok(page.problems.length > 0, 'the browser has kept scripts and images back');
  page.problems = [];
  await done(page);
});

test('leads are text, whatever is in them', async () => {
  const page = await open('ben');
  const [row] = await search(page, 'onerror');
  assert.match(row, /<img src=x onerror=/);
  assert.equal(await page.locator('main img, main script').count(), 0);
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL('**/leads/proof');
  assert.match(await page.locator('main').innerText(), /<\/td><\/table><h1>Owned<\/h1>/);
  assert.equal(await page.locator('h1').count(), 1);
  assert.equal(await page.title(), 'Proof of a lead · leadflow');
  await done(page);
});

test('a search finds people in any script, and stays out of the address', async () => {
  const page = await open('ben');
  assert.match((await search(page, '서연')).join(), /이서연|서연 이/);
  assert.equal((await search(page, 'NORTHWIND')).length, 1);
  assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, '/leads');
  assert.equal(await page.getByRole('searchbox').inputValue(), 'NORTHWIND');
  assert.deepEqual(await search(page, 'nobody of this name'), []);
  await page.getByText('No lead matches.').waitFor();
  await done(page);
});

test('the proof of a lead names its run, its mail and the replies, and prints without the navigation', async () => {
  const page = await open('ben');
  await search(page, 'jonas.berg');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL('**/leads/proof');
  const text = await page.locator('main').innerText();
  assert.match(text, /Jonas Berg[^]*Northwind Traders/);
  assert.match(text, /written, according to the table[^]*read by run 200\d\d[^]*sales@contoso\.example\s+sent\s+250/);
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.locator('header.top').isVisible(), false);
  assert.equal(await page.locator('footer').isVisible(), false);
  assert.ok(await page.locator('h1').isVisible());
  const pdf = await page.pdf();
  assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
  await done(page);
});

test('the export has every lead, and is a file that no address leads to', async () => {
  const page = await open('ben');
  await page.goto(LEADS);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export' }).click(),
  ]);
  assert.equal(download.suggestedFilename(), 'leads.csv');
  assert.equal(new URL(download.url()).search, '');
  const text = readFileSync(await download.path(), 'utf8');
  for (const it of ['minjun.kim@fabrikam.example', 'seoyeon.lee@litware.example', 'Northwind Traders', '한빛소프트']) {
    assert.ok(text.includes(it), it);
  }
  // A spreadsheet does not take it for a formula.
  assert.doesNotMatch(text, /(^|,)"?=HYPERLINK/m);
  assert.equal((await page.request.get('/leads/export', { failOnStatusCode: false })).status(), 405);
  await done(page);
});
