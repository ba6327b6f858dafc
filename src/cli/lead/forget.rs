//! `leadflow lead forget EMAIL|KEY`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use leadflow::config::Loaded;
use leadflow::forget::{self, Erased, Person};
use leadflow::store::Store;

use crate::cli::{Usage, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The person's address, or the `RowKey` of the lead
    person: String,
    /// Also delete the person's rows from the tables of the flows
    #[arg(long)]
    table: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn forget(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (config, person) = (&loaded.config, Person::of(&arguments.person));
    let rows = forget::find(config, &person)
        .await
        .map_err(|error| anyhow::anyhow!("{error}\n  {}", error.help()))?;
    let texts = person.texts(&rows);
    if texts.is_empty() {
        bail!(
            "no table has a row `{}`, so it is not known whom to forget; give the address",
            arguments.person
        );
    }
    output::print(&format!(
        "{} rows in the tables; what names {} is erased from the state, its history and its kept mails{}",
        rows.len(),
        arguments.person,
        if arguments.table {
            ", and the rows from their tables"
        } else {
            "; the rows stay in their tables (--table deletes them)"
        },
    ))?;
    if !arguments.yes && !is_agreed()? {
        output::print("nothing was done")?;
        return Ok(ExitCode::FAILURE);
    }
    if !config.settings.state.join("leadflow.db").exists() {
        bail!("there is no state yet: leadflow was never run");
    }
    let mut store = Store::open(&config.settings.state)?;
    let mut erased = forget::erase(config, &mut store, &rows, &texts)?;
    drop(store);
    if arguments.table {
        erased.rows = forget::delete(config, &rows).await?;
    }
    told(loaded, &erased, &texts)
}

/// What was erased, and the proof; exit status 1 while something of the person is left.
fn told(loaded: &Loaded, erased: &Erased, texts: &[String]) -> anyhow::Result<ExitCode> {
    let (mails, files) = (erased.mails.len(), erased.files.len());
    output::print(&format!("erased: {mails} mails, {files} files of mail folders, {} rows", erased.rows))?;
    if !erased.waiting.is_empty() {
        let mails: Vec<String> = erased.waiting.iter().map(i64::to_string).collect();
        output::print(&format!(
            "not erased: mails that are still to be sent ({}); `leadflow outbox drop N`, or wait until they have left, then ask again",
            mails.join(", ")
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    let proof = forget::prove(&loaded.config, texts)?;
    let state = loaded.config.settings.state.display();
    if proof.left.is_empty() {
        output::print(&format!(
            "proved: {} files of {state} ({} bytes) were searched, and neither name nor address stands in them\n\
             backups, the mail server and the recipients' mailboxes are not leadflow's to erase",
            proof.files, proof.bytes
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let files: Vec<String> = proof.left.iter().map(|path| path.display().to_string()).collect();
    output::print(&format!("name or address still stands in {}", files.join(", ")))?;
    Ok(ExitCode::FAILURE)
}

fn is_agreed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Usage("nobody can be asked here; say --yes if it is to be erased".to_owned()).into());
    }
    write!(io::stderr(), "this cannot be undone; go on? [y/N] ")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
