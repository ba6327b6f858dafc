"""Fetches all rows, decodes eight fields and CustomerInfo, and mails them as rows of HTML."""

import argparse
import datetime
import json
import smtplib
from email.message import EmailMessage

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableClient
from jinja2 import Environment

# Published: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ACCOUNT = "devstoreaccount1"
ROWS = """<table>{% for lead, customer in leads %}<tr><td>{{ lead.OfferDisplayName }}</td>\
<td>{{ customer.FirstName }}</td><td>{{ customer.LastName }}</td><td>{{ customer.Company }}</td>\
<td>{{ customer.Email }}</td><td>{{ lead.ActionCode }}</td><td>{{ lead.LeadSource }}</td>\
<td>{{ lead.CreatedTime }}</td><!-- {{ lead.PartitionKey }} {{ lead.RowKey }} --></tr>
{% endfor %}</table>"""

parser = argparse.ArgumentParser()
parser.add_argument("--table", type=int)
parser.add_argument("--mail", type=int)
arguments = parser.parse_args()

table = TableClient(
    f"http://127.0.0.1:{arguments.table}/{ACCOUNT}", "leads", credential=AzureNamedKeyCredential(ACCOUNT, KEY)
)
past_time = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
found = table.query_entities("Timestamp gt @past_time", parameters={"past_time": past_time})
leads = [(lead, json.loads(lead["CustomerInfo"])) for lead in found]

mail = EmailMessage()
mail["From"], mail["To"] = "leads@contoso.example", "sales@contoso.example"
mail["Subject"] = f"{len(leads)} new leads"
html = Environment(autoescape=True).from_string(ROWS).render(leads=leads)
mail.set_content(html, subtype="html", cte="quoted-printable")
with smtplib.SMTP("127.0.0.1", arguments.mail) as server:
    server.send_message(mail)
print(len(leads))
