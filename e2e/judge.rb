# Judges one run of the CLI: ruby judge.rb SCENARIO RUN
#
#   SCENARIO            a workflow of bitrise.yml
#   RUN/log             what the CLI printed
#   RUN/status          its exit status
#   RUN/results/*.json  what each assertion in the workflow expected and found
#   RUN/requests.jsonl  what the stand-in was asked meanwhile
#
# Prints each problem on a line of its own, without quoting a secret, and ends with
# status 1 when there is one.

require 'json'
require 'jwt'
require 'openssl'
require 'yaml'

scenario, run = ARGV
MANIFEST = JSON.parse(File.read(File.join(ENV.fetch('E2E_ROOT'), 'manifest.json')))
LOG = File.read(File.join(run, 'log'), encoding: 'UTF-8').scrub
STATUS = File.read(File.join(run, 'status')).to_i

results = Dir.glob(File.join(run, 'results', '*.json')).sort_by { |path| File.basename(path).to_i }
             .map { |path| JSON.parse(File.read(path)) }
requests = File.readlines(File.join(run, 'requests.jsonl')).map { |line| JSON.parse(line) }
steps = YAML.safe_load(File.read(File.join(__dir__, 'bitrise.yml')), aliases: true).dig('workflows', scenario, 'steps')

# --- The parts of the CLI's log ---------------------------------------------------

# What each step printed, in order: from the end of its heading to the box at its end.
def sections
  bar = Regexp.escape("+#{'-' * 78}+")
  heading = /^(?:\e\[0m)?#{bar}\n\| \(\d+\) .*\n#{bar}\n(?:\| (?:id|version|collection|toolkit|time): .*\n)+#{bar}\n/
  LOG.split(heading).drop(1).map { |section| section.split(/^\+-{3}\+-{63}\+-{10}\+$/, 2).first }
end

# The error with which the CLI sums up a failed step: the red line above that box.
def error_summary(section)
  section[/\e\[31;1m([^\e]*)\e\[0m\n(?:\e\[34;1m[^\e]*\e\[0m\n)?\| {78}\|\n\z/, 1]
end

def plain(text)
  text.gsub(/\e\[[\d;]*m/, '')
end

# --- The judgement ----------------------------------------------------------------

problems = []

kinds = steps.map { |step| step.is_a?(Hash) ? step.keys.first : step }
assertions = kinds.count('path::./e2e/assert')
problems << "#{results.length} of #{assertions} assertions ran" if results.length != assertions
problems.concat(results.flat_map { |result| result['problems'] })

expected = results.flat_map { |result| result['expected'] }
failure = expected.any? { |expectation| expectation.key?('error') || expectation.key?('error_of_another_step') }
problems << "the CLI ended with the status #{STATUS}" if STATUS.zero? == failure

by_step = kinds.zip(sections)
step_logs = by_step.select { |kind, _| kind == 'path::./' }.map { |_, section| section.to_s }
assert_logs = by_step.select { |kind, _| kind == 'path::./e2e/assert' }.map { |_, section| section.to_s }

# The message that the CLI gave to the later step, and the one that it shows.
if failure
  summaries = by_step.reject { |kind, _| kind == 'path::./e2e/assert' }.map { |_, section| error_summary(section.to_s) }.compact
  problems << 'the CLI shows another error than it tells later steps' if summaries != results.map { |result| result['error'] }.compact.uniq
end

said = plain(step_logs.join)
expected.each do |expectation|
  Array(expectation['log']).each { |regex| problems << "the Step's log does not say /#{regex}/" unless said.match?(/#{regex}/i) }
  Array(expectation['not_in_log']).each { |regex| problems << "the Step's log says /#{regex}/" if said.match?(/#{regex}/i) }
  next unless expectation.key?('requests')

  asked = requests.reject { |request| request['service'] == 'annotations' }.map { |request| "#{request['method']} #{request['target']}" }
  problems << "the stand-in was asked #{asked}, not #{expectation['requests']}" if asked != expectation['requests']
end
requests.each { |request| request['violations'].each { |text| problems << "#{request['target']}: #{text}" } }

# Whatever would leave this machine goes to the stand-in as its proxy, and is none of its
# places. And no log names Apple's own hosts, which the inputs have as their defaults.
requests.select { |request| request['service'] == 'unknown' }.each do |request|
  problems << "something asked for #{request['method']} #{request['target']}"
end
%w[appstoreconnect.apple.com enterprise.developer.apple.com].each do |host|
  problems << "the Step's log names the host #{host}" if said.match?(%r{://[\w.]*#{Regexp.escape(host)}})
end

# Every token that the stand-in took is one to Ruby's library, too.
requests.select { |request| request['service'] == 'app_store_connect' && request['verdict'] == 'ok' }.each do |request|
  token = request['headers'].to_h.transform_keys(&:downcase).fetch('authorization').delete_prefix('Bearer ')
  account = JSON.parse(File.read(File.join(ENV.fetch('E2E_ROOT'), 'apple', "#{request['name']}.json")))
  public_key = OpenSSL::PKey::EC.new(File.read(File.join(ENV.fetch('E2E_ROOT'), account['public_key_path'])))
  audience = account['enterprise'] ? 'apple-developer-enterprise-v1' : 'appstoreconnect-v1'
  claims, header = JWT.decode(token, public_key, true, algorithm: 'ES256', verify_iat: true, aud: audience, verify_aud: true)
  who = account['issuer_id'] ? { 'iss' => account['issuer_id'] } : { 'sub' => 'user' }
  problems << "a token is by #{claims.slice('iss', 'sub')}, not #{who}" if claims.slice('iss', 'sub') != who
  problems << "a token has the header #{header}" if header.slice('kid', 'typ') != { 'kid' => account['key_id'], 'typ' => 'JWT' }
  problems << "a token lives #{claims['exp'] - claims['iat']} s" unless (1..1200).cover?(claims['exp'] - claims['iat'])
rescue JWT::DecodeError => e
  problems << "#{request['target']}: Ruby's jwt refuses the token: #{e.class}"
end

# Where the CLI had to redact, the Step said something that it must keep to itself.
problems << 'the CLI had to redact the log of the Step' if step_logs.any? { |log| log.include?('[REDACTED]') }

# A later step printed every output: the secret ones must be redacted, and only these
# (and those that are one of the project's secrets anyway).
results.zip(assert_logs).each do |result, log|
  result['printed'].each do |name, output|
    shown = log.to_s[/^<<<#{name}\n(.*?)\n>>>#{name}$/m, 1]
    if shown.nil? then problems << "#{name} was not printed"
    elsif output['secret']
      problems << "the CLI does not redact #{name}" unless shown.lines(chomp: true).all?('[REDACTED]')
    elsif shown != (MANIFEST['secrets'].value?(output['value']) ? '[REDACTED]' : output['value'])
      problems << "the CLI shows #{name} as #{shown}"
    end
  end
end

MANIFEST['never_logged'].each { |what, value| problems << "the log holds #{what}" if LOG.include?(value) }

puts problems
exit 1 if problems.any?
