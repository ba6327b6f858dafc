// Who may see and do what, and in which language.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { api, done, mails, numbers, open, PAGE, PASSWORD, signIn, withBrowser } from './browser.mjs';

withBrowser();

const path = (page) => new URL(page.url()).pathname;

test('a wrong password is refused, and what was typed as one is not in the page', async () => {
  const page = await open(undefined, {}, [401]);
  await signIn(page, 'anna', 'correct horse batterz');
  assert.equal(path(page), '/sign-in');
  assert.match(await page.getByRole('alert').textContent(), /The name or the password is wrong/);
  assert.ok(!(await page.content()).includes('batterz'));
  assert.deepEqual(await page.context().cookies(), []);
  await done(page);
});

test('who signs in comes to where they wanted to go, with a cookie that no script and no other site has', async () => {
  const page = await open();
  await page.goto('/outbox');
  assert.equal(path(page), '/sign-in');
  await page.getByLabel('Name').fill('ben');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByLabel('Password').press('Enter');
  await page.waitForURL('**/outbox');
  const cookies = await page.context().cookies();
  assert.equal(cookies.length, 1);
  const [{ httpOnly, sameSite, path: its, expires }] = cookies;
  assert.deepEqual({ httpOnly, sameSite, its }, { httpOnly: true, sameSite: 'Lax', its: '/' });
  assert.ok(expires > Date.now() / 1_000);
  assert.equal(await page.evaluate(() => document.cookie), '');
  await done(page);
});

test("who signs out is a guest, and the old cookie is nobody's", async () => {
  const page = await open();
  await signIn(page, 'ben', PASSWORD);
  const before = await page.context().cookies();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in' }).waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await page.context().addCookies(before);
  await page.goto('/outbox');
  assert.equal(path(page), '/sign-in');
  await done(page);
});

test('the role view sees no action, and is refused when it sends one', async () => {
  const { sent, held } = await numbers();
  const page = await open('ben', {}, [403]);
  for (const it of ['/flows/marketplace-leads', `/runs/${sent}`, '/outbox', `/outbox/${held}`]) {
    await page.goto(it);
    assert.equal(await page.locator('main .actions *, main a[href$="/run"], main a[href$="/retry"]').count(), 0, it);
  }
  const token = await page.locator('form[action="/sign-out"] input[name=form_token]').inputValue();
  const [mailed, runs] = [mails().length, (await api('/runs'))[0].run];
  const actions = ['run', 'on', 'off', 'replay', 'test-mail'].map((it) => `/flows/marketplace-leads/${it}`);
  for (const it of [
    ...actions,
    `/runs/${sent}/resubmit`,
    '/outbox/retry',
    `/outbox/${held}/retry`,
    `/outbox/${held}/drop`,
  ]) {
    const form = { form_token: token, from: '2026-01-01', to: '' };
    const response = await page.request.post(it, { form, headers: { origin: PAGE }, maxRedirects: 0 });
    assert.equal(response.status(), 403, it);
    assert.match(await response.text(), /needs the role/);
  }
  assert.equal((await api('/runs'))[0].run, runs);
  assert.equal(mails().length, mailed);
  await done(page);
});

test('a form of another session or another site does nothing', async () => {
  const page = await open('anna', {}, [403]);
  const send = (form, origin) => page.request.post('/flows/archive/on', { form, headers: { origin }, maxRedirects: 0 });
  await page.goto('/');
  const token = await page.locator('form[action="/sign-out"] input[name=form_token]').inputValue();
  assert.equal((await send({ form_token: 'x' }, PAGE)).status(), 403);
  assert.equal((await send({}, PAGE)).status(), 403);
  assert.equal((await send({ form_token: token }, 'https://evil.example')).status(), 403);
  const archive = (await api('/flows')).find((it) => it.flow === 'archive');
  assert.ok(archive.off_by_command_since, 'it is still off');
  await done(page);
});

test('the browser says the language, and a choice stays', async () => {
  const page = await open(undefined, { locale: 'ko-KR' });
  const heading = () => page.locator('h1').textContent();
  await page.goto('/runs?outcome=failed');
  assert.equal(await heading(), '실행');
  await page.getByRole('link', { name: 'English' }).click();
  assert.equal(await heading(), 'Runs');
  assert.equal(new URL(page.url()).search, '?outcome=failed', 'it is the same page');
  await page.goto('/health');
  assert.equal(await heading(), 'Health');
  await page.getByRole('link', { name: '한국어' }).click();
  assert.equal(await heading(), '상태');
  await done(page);
  const english = await open(undefined, { locale: 'en-GB' });
  await english.goto('/');
  assert.equal(await english.locator('h1').textContent(), 'Flows');
  await done(english);
});
