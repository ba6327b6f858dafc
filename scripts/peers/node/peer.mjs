// Fetches all rows, decodes eight fields and CustomerInfo, and mails them as rows of HTML.
import { parseArgs } from 'node:util';
import { AzureNamedKeyCredential, TableClient } from '@azure/data-tables';
import nodemailer from 'nodemailer';

const { values } = parseArgs({ options: { table: { type: 'string' }, mail: { type: 'string' } } });
// Published: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const ACCOUNT = 'devstoreaccount1';

const escaped = (text) => String(text ?? '').replaceAll('&', '&amp;').replaceAll('<', '&lt;');

const table = new TableClient(
  `http://127.0.0.1:${values.table}/${ACCOUNT}`,
  'leads',
  new AzureNamedKeyCredential(ACCOUNT, KEY),
  { allowInsecureConnection: true },
);
const pastTime = new Date(Date.now() - 3_600_000).toISOString();
const rows = [];
for await (const lead of table.listEntities({ queryOptions: { filter: `Timestamp gt datetime'${pastTime}'` } })) {
  const customer = JSON.parse(lead.CustomerInfo);
  const cells = [
    lead.OfferDisplayName,
    customer.FirstName,
    customer.LastName,
    customer.Company,
    customer.Email,
    lead.ActionCode,
    lead.LeadSource,
    lead.CreatedTime,
  ];
  const key = `${lead.partitionKey} ${lead.rowKey} ${lead.timestamp}`;
  rows.push(`<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}<!-- ${key} --></tr>`);
}
await nodemailer.createTransport({ host: '127.0.0.1', port: Number(values.mail), ignoreTLS: true }).sendMail({
  from: 'leads@contoso.example',
  to: 'sales@contoso.example',
  subject: `${rows.length} new leads`,
  html: `<table>${rows.join('\n')}</table>`,
  textEncoding: 'quoted-printable',
});
console.log(rows.length);
