# Verifies one run of a workflow: ruby verify_run.rb SCENARIO RUN
#
#   SCENARIO            a workflow in bitrise.yml
#   RUN/log             the output of the CLI
#   RUN/status          the CLI's exit status
#   RUN/results/*.json  the results of each assertion in the workflow (e2e/assert)
#   RUN/requests.jsonl  the requests to the stand-in during the run
#
# Prints one line per problem, without secrets, and exits with status 1 if there are any.

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

# --- Parsing the CLI's log --------------------------------------------------------

# The output of each Step, in order: the lines between the Step's header and the box with its result.
def sections
  bar = Regexp.escape("+#{'-' * 78}+")
  heading = /^(?:\e\[0m)?#{bar}\n\| \(\d+\) .*\n#{bar}\n(?:\| (?:id|version|collection|toolkit|time): .*\n)+#{bar}\n/
  LOG.split(heading).drop(1).map { |section| section.split(/^\+-{3}\+-{63}\+-{10}\+$/, 2).first }
end

# The CLI's error summary of a failed Step: the red line above the box with the Step's result.
def error_summary(section)
  section[/\e\[31;1m([^\e]*)\e\[0m\n(?:\e\[34;1m[^\e]*\e\[0m\n)?\| {78}\|\n\z/, 1]
end

def without_colors(text)
  text.gsub(/\e\[[\d;]*m/, '')
end

# --- Checks -----------------------------------------------------------------------

problems = []

kinds = steps.map { |step| step.is_a?(Hash) ? step.keys.first : step }
assertions = kinds.count('path::./e2e/assert')
problems << "#{results.length} of #{assertions} assertions ran" if results.length != assertions
problems.concat(results.flat_map { |result| result['problems'] })

expected = results.flat_map { |result| result['expected'] }
failure_expected = expected.any? { |expectation| expectation.key?('error') || expectation.key?('error_of_another_step') }
problems << "the CLI exited with status #{STATUS}" if STATUS.zero? == failure_expected

by_step = kinds.zip(sections)
step_logs = by_step.select { |kind, _| kind == 'path::./' }.map { |_, section| section.to_s }
assert_logs = by_step.select { |kind, _| kind == 'path::./e2e/assert' }.map { |_, section| section.to_s }

# BITRISE_FAILED_STEP_ERROR_MESSAGE, which later Steps see, and the error summary in the log must be the same.
if failure_expected
  summaries = by_step.reject { |kind, _| kind == 'path::./e2e/assert' }.map { |_, section| error_summary(section.to_s) }.compact
  problems << 'the error in the log differs from the one that later Steps see' if summaries != results.map { |result| result['error'] }.compact.uniq
end

step_text = without_colors(step_logs.join)
expected.each do |expectation|
  Array(expectation['log']).each { |regex| problems << "the Step's log does not match /#{regex}/" unless step_text.match?(/#{regex}/i) }
  Array(expectation['not_in_log']).each { |regex| problems << "the Step's log matches /#{regex}/" if step_text.match?(/#{regex}/i) }
  next unless expectation.key?('requests')

  received = requests.reject { |request| request['service'] == 'annotations' }.map { |request| "#{request['method']} #{request['target']}" }
  problems << "the stand-in received #{received}, not #{expectation['requests']}" if received != expectation['requests']
end
requests.each { |request| request['violations'].each { |text| problems << "#{request['target']}: #{text}" } }

# The stand-in is also the proxy, so it gets requests to other machines, which it records with an unknown service. The
# log must not name Apple's hosts either, which are the defaults of the inputs.
requests.select { |request| request['service'] == 'unknown' }.each do |request|
  problems << "unexpected request: #{request['method']} #{request['target']}"
end
%w[appstoreconnect.apple.com enterprise.developer.apple.com].each do |host|
  problems << "the Step's log names the host #{host}" if step_text.match?(%r{://[\w.]*#{Regexp.escape(host)}})
end

# Ruby's jwt library must accept every token that the stand-in accepts, so the stand-in is not too lenient.
requests.select { |request| request['service'] == 'app_store_connect' && request['verdict'] == 'ok' }.each do |request|
  token = request['headers'].to_h.transform_keys(&:downcase).fetch('authorization').delete_prefix('Bearer ')
  account = JSON.parse(File.read(File.join(ENV.fetch('E2E_ROOT'), 'apple', "#{request['name']}.json")))
  public_key = OpenSSL::PKey::EC.new(File.read(File.join(ENV.fetch('E2E_ROOT'), account['public_key_path'])))
  audience = account['enterprise'] ? 'apple-developer-enterprise-v1' : 'appstoreconnect-v1'
  claims, header = JWT.decode(token, public_key, true, algorithm: 'ES256', verify_iat: true, aud: audience, verify_aud: true)
  subject = account['issuer_id'] ? { 'iss' => account['issuer_id'] } : { 'sub' => 'user' }
  problems << "a token has #{claims.slice('iss', 'sub')}, not #{subject}" if claims.slice('iss', 'sub') != subject
  problems << "a token has the header #{header}" if header.slice('kid', 'typ') != { 'kid' => account['key_id'], 'typ' => 'JWT' }
  problems << "a token is valid for #{claims['exp'] - claims['iat']} s" unless (1..1200).cover?(claims['exp'] - claims['iat'])
rescue JWT::DecodeError => e
  problems << "#{request['target']}: Ruby's jwt rejects the token: #{e.class}"
end

# The Step must never log a secret, so the CLI must find nothing to redact in its log.
problems << 'the CLI redacted the log of the Step' if step_logs.any? { |log| log.include?('[REDACTED]') }

# e2e/assert prints every output. The CLI must redact the secret ones, and no others except those whose value
# is also one of the project's secrets.
results.zip(assert_logs).each do |result, log|
  result['printed'].each do |name, output|
    printed = log.to_s[/^<<<#{name}\n(.*?)\n>>>#{name}$/m, 1]
    if printed.nil? then problems << "#{name} was not printed"
    elsif output['secret']
      problems << "the CLI does not redact #{name}" unless printed.lines(chomp: true).all?('[REDACTED]')
    elsif printed != (MANIFEST['secrets'].value?(output['value']) ? '[REDACTED]' : output['value'])
      problems << "the CLI shows #{name} as #{printed}"
    end
  end
end

MANIFEST['never_logged'].each { |what, value| problems << "the log contains #{what}" if LOG.include?(value) }

puts problems
exit 1 if problems.any?
